#pragma once
// The one table of all options, and how a value of each is read, checked and written.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/config/config.h"

namespace ca {

struct OldName {
  std::string_view section, name;
};

struct Option {
  using Member =
      std::variant<std::string Config::*, bool Config::*, std::int64_t Config::*, double Config::*, std::vector<std::string> Config::*>;

  std::string_view section, name;
  Member member;
  std::string_view default_text;                // as one would write it in the file; may refer to other options ($name)
  std::string (*default_of_host)() = nullptr;   // computed on this host instead of default_text
  std::string_view default_words;               // what the documentation says instead of a computed default
  std::vector<std::string_view> choices;        // of the value, or of each item of a list; empty: any
  std::int64_t min = 0, max = 0;                // of whole numbers
  bool (*accepts)(std::string_view) = nullptr;  // of the value, or of each item of a list
  std::string_view accepts_words;               // what `accepts` wants, in words
  std::string_view help;                        // meaning, with the unit
  bool ours = false;                            // not an option of nova
  std::vector<OldName> old_names;               // names that nova still maps to this one
};

[[nodiscard]] const std::vector<Option>& option_table();
[[nodiscard]] std::vector<Option> rbd_options();  // a part of the table

// What is allowed: "kvm, qemu", "a whole number from 1 to 1000", "true or false", ...
[[nodiscard]] std::string allowed_words(const Option& option);

// Reads `text` into `config`; answers what is allowed when it is not.
[[nodiscard]] std::optional<std::string> set_option(const Option& option, const std::string& text, Config& config);
// The value as text that set_option reads back; `$` is not escaped here.
[[nodiscard]] std::string option_text(const Option& option, const Config& config);

// An option of nova 26 in a section that we read, but that this agent does not use.
[[nodiscard]] bool is_unused_nova_option(std::string_view section, std::string_view name);

}  // namespace ca
