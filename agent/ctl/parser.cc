#include "agent/ctl/parser.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "agent/ctl/help.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

bool looks_like_option(std::string_view word) {
  if (word.size() < 2 || word[0] != '-') return false;
  const bool negative_number = word.find_first_not_of("0123456789.", 1) == std::string_view::npos;
  return !negative_number;
}

std::string quoted_choices(std::string_view choices) {
  std::vector<std::string> quoted;
  for (const std::string_view choice : split_words(choices)) quoted.push_back("'" + std::string(choice) + "'");
  return join(quoted, ", ");
}

// Empty when `value` suits the option, else what is wrong with it.
std::string value_problem(const Option& option, const std::string& value) {
  const char* const end = value.data() + value.size();
  switch (option.type) {
    case ArgType::kInt:
    case ArgType::kNotNegative: {
      std::int64_t number = 0;
      const auto read = std::from_chars(value.data(), end, number);
      if (read.ec != std::errc{} || read.ptr != end) return "invalid int value: '" + value + "'";
      if (option.type == ArgType::kNotNegative && number < 0) return "'" + value + "' is negative";
      break;
    }
    case ArgType::kFloat: {
      double number = 0;
      const auto read = std::from_chars(value.data(), end, number);
      if (read.ec != std::errc{} || read.ptr != end || !std::isfinite(number)) return "invalid float value: '" + value + "'";
      break;
    }
    case ArgType::kKeyValue:
      if (value.find('=') == std::string::npos || value[0] == '=') return "Expected 'key=value' type, but got: " + value;
      break;
    case ArgType::kText: break;
  }
  if (option.check != nullptr) {
    if (std::string problem = option.check(value); !problem.empty()) return problem;
  }
  const auto choices = split_words(option.choices);
  if (!choices.empty() && std::find(choices.begin(), choices.end(), value) == choices.end()) {
    return "invalid choice: '" + value + "' (choose from " + quoted_choices(option.choices) + ")";
  }
  return {};
}

class LineParser {
 public:
  using Outcome = tl::expected<void, UsageError>;

  LineParser(const Command* command, Args& args) : command_(command), args_(args) {
    if (command != nullptr) {
      add(command->options);
      add(format_options(command->display));
    }
    add(global_options());
  }

  // Options at the start of `words` from `at` on; stops at the first word that is none.
  Outcome leading_options(const std::vector<std::string>& words, std::size_t& at) {
    while (at < words.size() && looks_like_option(words[at])) {
      if (auto done = option(words, at); !done) return done;
    }
    return {};
  }

  Outcome rest(const std::vector<std::string>& words, std::size_t at) {
    std::vector<std::string> positionals;
    while (at < words.size()) {
      if (words[at] == "--") {
        positionals.insert(positionals.end(), words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
        break;
      }
      if (!looks_like_option(words[at])) {
        positionals.push_back(words[at++]);
      } else if (auto done = option(words, at); !done) {
        return done;
      }
    }
    if (args_.has("help")) return {};
    if (auto done = take_positionals(positionals); !done) return done;
    return check_required();
  }

 private:
  void add(std::span<const Option> options) {
    for (const Option& option : options) options_.push_back(&option);
  }

  tl::unexpected<UsageError> usage(const std::string& problem) const {
    const std::string program = command_ == nullptr ? "computectl" : "computectl " + std::string(command_->name);
    std::string text = (command_ == nullptr ? global_usage() : command_usage(*command_)) + program + ": error: " + problem;
    return tl::unexpected<UsageError>(UsageError{text});
  }

  tl::unexpected<UsageError> unknown(const std::string& word) const {
    std::string_view nearest;
    int best = 6;
    for (const Option* option : options_) {
      for (const std::string_view name : split_words(option->names)) {
        const int distance = edit_distance(word, name);
        if (name.starts_with("--") && distance < best) {
          best = distance;
          nearest = name;
        }
      }
    }
    const std::string hint = nearest.empty() ? "" : " (did you mean " + std::string(nearest) + "?)";
    return usage("unrecognized arguments: " + word + hint);
  }

  // The option that `name` names, whole or by a unique beginning.
  tl::expected<const Option*, UsageError> find(const std::string& name) const {
    std::vector<std::pair<const Option*, std::string_view>> candidates;
    for (const Option* option : options_) {
      for (const std::string_view own : split_words(option->names)) {
        if (own == name) return option;
        if (name.size() > 2 && own.starts_with("--") && own.starts_with(name)) candidates.emplace_back(option, own);
      }
    }
    if (candidates.size() == 1) return candidates[0].first;
    if (candidates.empty()) return unknown(name);
    std::vector<std::string> names;
    for (const auto& [option, own] : candidates) names.emplace_back(own);
    return usage("ambiguous option: " + name + " could match " + join(names, ", "));
  }

  Outcome option(const std::vector<std::string>& words, std::size_t& at) {
    std::string name = words[at++];
    std::optional<std::string> value;
    if (name.starts_with("--")) {
      if (const std::size_t equals = name.find('='); equals != std::string::npos) {
        value = name.substr(equals + 1);
        name.erase(equals);
      }
    } else if (name.size() > 2) {  // -fjson
      value = name.substr(2);
      name.erase(2);
    }
    auto found = find(name);
    if (!found) return tl::unexpected<UsageError>(std::move(found).error());
    const Option& option = **found;
    if (option.metavar.empty()) {
      if (value) return usage("argument " + shown(option) + ": ignored explicit argument '" + *value + "'");
      return accept(option, "");
    }
    if (!value) {
      if (at >= words.size() || words[at] == "--" || looks_like_option(words[at])) {
        return usage("argument " + shown(option) + ": expected one argument");
      }
      value = words[at++];
    }
    return accept(option, *value);
  }

  Outcome accept(const Option& option, const std::string& value) {
    if (!option.metavar.empty()) {
      const std::string problem = value_problem(option, value);
      if (!problem.empty()) return usage("argument " + shown(option) + ": " + problem);
    }
    for (const Option* other : options_) {
      const bool excludes = !option.exclusive.empty() && other != &option && other->exclusive == option.exclusive;
      if (excludes && args_.has(option_key(*other))) {
        return usage("argument " + shown(option) + ": not allowed with argument " + shown(*other));
      }
    }
    args_.add(std::string(option_key(option)), value);
    return {};
  }

  Outcome take_positionals(const std::vector<std::string>& given) {
    std::vector<std::string> missing;
    std::size_t at = 0;
    for (const Positional& positional : command_->positionals) {
      if (at >= given.size()) {
        if (!positional.optional) missing.emplace_back(positional.name);
        continue;
      }
      do {
        args_.add(std::string(positional.name), given[at++]);
      } while (positional.many && at < given.size());
    }
    for (const Option& option : command_->options) {
      if (option.required && !args_.has(option_key(option))) missing.push_back(shown(option));
    }
    if (!missing.empty()) return usage("the following arguments are required: " + join(missing, ", "));
    if (at < given.size()) {
      return usage("unrecognized arguments: " +
                   join(std::vector<std::string>(given.begin() + static_cast<std::ptrdiff_t>(at), given.end()), " "));
    }
    return {};
  }

  // A name, id or other word that is empty can name nothing.
  Outcome check_required() const {
    for (const Positional& positional : command_->positionals) {
      for (const std::string& value : args_.all(positional.name)) {
        if (value.empty()) return usage("argument " + std::string(positional.name) + ": is empty");
      }
    }
    return {};
  }

  static std::string shown(const Option& option) {
    std::vector<std::string> names;
    for (const std::string_view name : split_words(option.names)) names.emplace_back(name);
    return join(names, "/");
  }

  const Command* command_;
  Args& args_;
  std::vector<const Option*> options_;
};

}  // namespace

const Command* find_command(std::span<const std::string> words, std::span<const Command> commands) {
  const std::string whole = join({words.begin(), words.end()}, " ");
  const Command* match = nullptr;
  for (const Command& command : commands) {
    if (command.name == whole) return &command;
    const auto parts = split_words(command.name);
    const bool begins = parts.size() == words.size() && std::equal(parts.begin(), parts.end(), words.begin(),
                                                                   [](auto part, const auto& word) { return part.starts_with(word); });
    if (!begins) continue;
    if (match != nullptr) return nullptr;
    match = &command;
  }
  return match;
}

std::string unknown_command_text(const std::vector<std::string>& words, std::span<const Command> commands) {
  const std::string given = join(words, " ");
  std::vector<std::pair<int, std::string_view>> ranked;
  for (const Command& command : commands) {
    const bool begins = command.name.starts_with(given);
    ranked.emplace_back(begins ? 0 : 1 + edit_distance(given, command.name), command.name);
  }
  std::sort(ranked.begin(), ranked.end());
  const auto& noun = words[0];
  const bool known_noun =
      std::any_of(commands.begin(), commands.end(), [&noun](const Command& command) { return split_words(command.name)[0] == noun; });
  std::string text = "computectl: '" + given + "' is not a computectl command. See 'computectl --help'.";
  std::vector<std::string> near;
  for (const auto& [distance, name] : ranked) {
    const bool same_noun = known_noun && split_words(name)[0] == noun;
    if (distance == ranked.front().first || (same_noun && near.size() < 12)) near.emplace_back(name);
  }
  text += "\nDid you mean one of these?";
  for (const std::string& name : near) text += "\n  " + name;
  return escape_controls(text);
}

tl::expected<ParsedLine, UsageError> parse_line(const std::vector<std::string>& words, std::span<const Command> commands) {
  ParsedLine parsed;
  std::size_t at = 0;
  LineParser before(nullptr, parsed.args);
  if (auto done = before.leading_options(words, at); !done) return tl::unexpected<UsageError>(std::move(done).error());
  if (parsed.args.has("version")) {
    parsed.kind = ParsedLine::Kind::kVersion;
    return parsed;
  }
  const bool asks_help = at < words.size() && words[at] == "help";
  if (parsed.args.has("help") || (asks_help && at + 1 == words.size())) {
    parsed.kind = ParsedLine::Kind::kHelp;
    return parsed;
  }
  if (asks_help) ++at;
  std::vector<std::string> name;
  for (std::size_t i = at; i < words.size() && !words[i].starts_with('-'); ++i) name.push_back(words[i]);
  if (name.empty()) return tl::unexpected(UsageError{global_usage() + "computectl: error: no command given. See 'computectl --help'."});
  for (std::size_t count = name.size(); count > 0 && parsed.command == nullptr; --count) {
    parsed.command = find_command(std::span(name).first(count), commands);
    if (parsed.command != nullptr) at += count;
  }
  if (parsed.command == nullptr) return tl::unexpected(UsageError{unknown_command_text(name, commands)});
  if (asks_help) {
    parsed.kind = ParsedLine::Kind::kHelp;
    return parsed;
  }
  LineParser after(parsed.command, parsed.args);
  if (auto done = after.rest(words, at); !done) return tl::unexpected<UsageError>(std::move(done).error());
  if (parsed.args.has("version")) parsed.kind = ParsedLine::Kind::kVersion;
  if (parsed.args.has("help")) parsed.kind = ParsedLine::Kind::kHelp;
  return parsed;
}

}  // namespace ca::ctl
