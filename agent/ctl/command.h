#pragma once
// The shape of a command. All commands are rows of constant tables (server.cc, image.cc, ...); the parser, --help and the bash
// completion are made from nothing else.

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/core/error.h"
#include "agent/ctl/output.h"

namespace ca::ctl {

enum class ArgType { kText, kInt, kNotNegative, kFloat, kKeyValue };

struct Option {
  std::string_view names;    // "-n --no-name-lookup": the first long one is the name handlers ask for
  std::string_view metavar;  // "<name>"; empty for a flag
  std::string_view help;
  ArgType type = ArgType::kText;
  std::string_view choices;  // words; empty: any value
  bool repeat = false;       // may be given several times
  bool required = false;
  std::string_view exclusive;                                // options with the same word here exclude each other
  std::string (*check)(const std::string& value) = nullptr;  // says what is wrong with a value; empty: nothing
};

struct Positional {
  std::string_view name;  // "<server>"
  std::string_view help;
  bool many = false;  // one or more
  bool optional = false;
};

// What was given on the command line, in its order.
class Args {
 public:
  struct Given {
    std::string name;  // "long", or "<server>" for a positional
    std::string value;
  };

  void add(std::string name, std::string value) { given_.push_back({std::move(name), std::move(value)}); }
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;  // the last one
  [[nodiscard]] std::string text(std::string_view name, std::string_view fallback = {}) const;
  [[nodiscard]] std::optional<std::int64_t> number(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const;
  // key=value pairs of a repeatable option; a later key wins.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> pairs(std::string_view name) const;
  [[nodiscard]] const std::vector<Given>& given() const { return given_; }

 private:
  std::vector<Given> given_;
};

enum class Display { kNone, kList, kShow };

struct Context;

struct Command {
  std::string_view name;         // "server create"
  std::string_view summary;      // one line
  std::string_view description;  // more, or empty
  std::span<const Positional> positionals;
  std::span<const Option> options;
  Display display = Display::kNone;
  std::string_view example;  // one command line for each line
  Result<Output> (*run)(Context& context, const Args& args) = nullptr;
};

// "long" of "--long", "no-name-lookup" of "-n --no-name-lookup".
[[nodiscard]] std::string_view option_key(const Option& option);

// Options that every command has, and those of the formatters.
[[nodiscard]] std::span<const Option> global_options();
[[nodiscard]] std::span<const Option> format_options(Display display);

}  // namespace ca::ctl
