#pragma once
// INI text as oslo.config reads it (oslo_config/iniparser.py): [section], `key = value` or `key: value`, comments that start a
// line with '#' or ';', continuation lines that start with white space, one pair of quotes around a value taken off.

#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"

namespace ca {

struct IniEntry {
  std::string section;
  std::string key;
  std::string value;  // continuation lines joined by '\n'
  int line = 0;       // of the key, counted from 1
};

struct IniSection {
  std::string name;
  int line = 0;
};

struct IniText {
  std::vector<IniSection> sections;  // in order, with repetitions
  std::vector<IniEntry> entries;     // in order
};

inline constexpr std::size_t kMaxIniBytes = 1 << 20;

// `name` is what errors call the text ("/etc/compute-agent/compute-agent.conf"). kInvalid names line and reason: no section yet,
// no '=', a control character (NUL included). kTooLarge above kMaxIniBytes.
[[nodiscard]] Result<IniText> parse_ini(std::string_view text, const std::string& name);

}  // namespace ca
