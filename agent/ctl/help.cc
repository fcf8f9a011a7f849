#include "agent/ctl/help.h"

#include <algorithm>

#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

constexpr std::size_t kWidth = 79;
constexpr std::size_t kHelpColumn = 26;

std::string option_signature(const Option& option, std::string_view separator) {
  std::vector<std::string> parts;
  for (const std::string_view name : split_words(option.names)) {
    parts.push_back(std::string(name) + (option.metavar.empty() ? "" : " " + std::string(option.metavar)));
  }
  return join(parts, separator);
}

std::string usage_part(const Option& option) {
  const auto names = split_words(option.names);
  std::string text = std::string(names[0]) + (option.metavar.empty() ? "" : " " + std::string(option.metavar));
  return option.required ? text : "[" + text + "]";
}

std::string usage_part(const Positional& positional) {
  std::string text(positional.name);
  if (positional.many) text += " [" + text + " ...]";
  return positional.optional ? "[" + text + "]" : text;
}

std::string wrapped_usage(const std::string& start, const std::vector<std::string>& parts) {
  std::string out = start;
  std::size_t used = start.size();
  const std::size_t indent = std::min<std::size_t>(start.size(), 24);
  for (const std::string& part : parts) {
    if (used + 1 + part.size() > kWidth && used > indent) {
      out += "\n" + std::string(indent, ' ');
      used = indent;
    }
    out += " " + part;
    used += 1 + part.size();
  }
  return out + "\n";
}

std::string entry(const std::string& signature, std::string_view help) {
  std::string out = "  " + signature;
  bool first = true;
  if (out.size() + 2 > kHelpColumn) {
    out += "\n";
    first = false;
  }
  for (const std::string& line : wrap_line(help, kWidth - kHelpColumn)) {
    const std::size_t indent = first ? kHelpColumn - out.size() : kHelpColumn;
    out += std::string(indent, ' ') + line + "\n";
    first = false;
  }
  return out;
}

std::string option_help(const Option& option) {
  std::string text(option.help);
  if (!option.choices.empty()) {
    std::vector<std::string> words;
    for (const std::string_view choice : split_words(option.choices)) words.emplace_back(choice);
    text += " (" + join(words, ", ") + ")";
  }
  return text;
}

std::string options_section(std::string_view title, std::span<const Option> options) {
  if (options.empty()) return {};
  std::string out = "\n" + std::string(title) + ":\n";
  for (const Option& option : options) out += entry(option_signature(option, ", "), option_help(option));
  return out;
}

std::string paragraph(std::string_view text) {
  std::string out;
  for (const std::string& line : wrap_line(text, kWidth)) out += line + "\n";
  return out;
}

}  // namespace

std::string global_usage() { return "usage: computectl [options] <command> [arguments]\n"; }

std::string command_usage(const Command& command) {
  std::vector<std::string> parts{"[-h]"};
  if (command.display != Display::kNone) {
    parts.emplace_back("[-f <format>]");
    parts.emplace_back("[-c <column>]");
  }
  for (const Option& option : command.options) parts.push_back(usage_part(option));
  for (const Positional& positional : command.positionals) parts.push_back(usage_part(positional));
  return wrapped_usage("usage: computectl " + std::string(command.name), parts);
}

std::string global_help(std::span<const Command> commands) {
  std::string out = global_usage() + "\n" +
                    paragraph(
                        "Command line of compute-agent: images, flavors, networks, keys and servers of this host, worded as "
                        "OpenStack's client.");
  out += options_section("options", global_options());
  out += "\ncommands:\n";
  std::vector<const Command*> sorted;
  for (const Command& command : commands) sorted.push_back(&command);
  std::sort(sorted.begin(), sorted.end(), [](const Command* a, const Command* b) { return a->name < b->name; });
  for (const Command* command : sorted) out += entry(std::string(command->name), command->summary);
  out += "\nA command's own options: computectl help <command>, or computectl <command> --help.\n";
  out += "Exit status: 0 done, 1 failed, 2 not understood.\n";
  out += "Bash completion: computectl complete > /etc/bash_completion.d/computectl\n";
  return out;
}

std::string command_help(const Command& command) {
  std::string out = command_usage(command) + "\n" + paragraph(command.summary);
  if (!command.description.empty()) out += "\n" + paragraph(command.description);
  if (!command.positionals.empty()) {
    out += "\narguments:\n";
    for (const Positional& positional : command.positionals) out += entry(std::string(positional.name), positional.help);
  }
  out += options_section("options", command.options);
  out += options_section("output options", format_options(command.display));
  out += options_section("global options", global_options());
  out += "\nexample:\n";
  for (const std::string& line : split_lines(command.example)) out += "  " + line + "\n";
  return out;
}

}  // namespace ca::ctl
