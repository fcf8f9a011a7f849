#pragma once
// From the words of a command line to a command and its arguments, by argparse's rules: options anywhere after the command, unique
// beginnings of long options and of command words, `--opt=value`, `--` ends options.

#include <span>
#include <string>
#include <vector>

#include "agent/ctl/command.h"

namespace ca::ctl {

struct UsageError {
  std::string text;  // for standard error, without a line break at the end
};

struct ParsedLine {
  enum class Kind { kRun, kHelp, kVersion };
  Kind kind = Kind::kRun;
  const Command* command = nullptr;  // kHelp: none means help on all
  Args args;                         // the command's, the formatters' and the global options
};

[[nodiscard]] tl::expected<ParsedLine, UsageError> parse_line(const std::vector<std::string>& words, std::span<const Command> commands);

// The command that `words` name, or nullptr. Unique beginnings count ("serv li").
[[nodiscard]] const Command* find_command(std::span<const std::string> words, std::span<const Command> commands);
// "'servr list' is not a computectl command ... Did you mean one of these?"
[[nodiscard]] std::string unknown_command_text(const std::vector<std::string>& words, std::span<const Command> commands);

}  // namespace ca::ctl
