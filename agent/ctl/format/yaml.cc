// YAML as PyYAML's safe_dump writes it in block style, except that long lines are not folded and text with line breaks is
// double-quoted. Every reader gets the same values back.

#include <algorithm>
#include <array>
#include <cstdio>

#include "agent/ctl/format/writers.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

bool printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool digit(char c) { return c >= '0' && c <= '9'; }

bool only(std::string_view text, std::string_view characters) { return text.find_first_not_of(characters) == std::string_view::npos; }

// Integers in any base, fractions, exponents, sexagesimals (190:20:30) of YAML 1.1 and 1.2. An address or a UUID is none of them.
bool reads_as_number(std::string_view text) {
  if (text[0] == '+' || text[0] == '-') text.remove_prefix(1);
  if (text.empty() || !(digit(text[0]) || (text[0] == '.' && text.size() > 1 && digit(text[1])))) return false;
  if (text.size() > 2 && text[0] == '0' && std::string_view("xXoObB").find(text[1]) != std::string_view::npos) {
    return only(text.substr(2), "0123456789abcdefABCDEF_");
  }
  if (std::count(text.begin(), text.end(), '.') > 1) return false;
  if (text.find(':') != std::string_view::npos) return only(text, "0123456789_.:");
  const std::size_t exponent = text.find_first_of("eE");
  if (!only(text.substr(0, exponent), "0123456789_.")) return false;
  if (exponent == std::string_view::npos) return true;
  std::string_view power = text.substr(exponent + 1);
  if (!power.empty() && (power[0] == '+' || power[0] == '-')) power.remove_prefix(1);
  return only(power, "0123456789");
}

// 2026-11-21, with or without a time behind it.
bool reads_as_date(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&](std::size_t least, std::size_t most) {
    const std::size_t start = at;
    while (at < text.size() && digit(text[at]) && at - start < most) ++at;
    return at - start >= least;
  };
  const auto dash = [&] { return at < text.size() && text[at++] == '-'; };
  return digits(4, 4) && dash() && digits(1, 2) && dash() && digits(1, 2) &&
         (at == text.size() || text[at] == 'T' || text[at] == 't' || text[at] == ' ');
}

// What a YAML reader would take for something else than text.
bool reads_as_other_type(std::string_view text) {
  const std::string word = lower(text);
  if (one_of(word, {"~", "null", "true", "false", "yes", "no", "on", "off", "<<", "=", ".inf", "-.inf", "+.inf", ".nan"})) return true;
  return reads_as_number(text) || reads_as_date(text);
}

bool plain_is_safe(std::string_view text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  if (std::string_view(",[]{}#&*!|>'\"%@`").find(text[0]) != std::string_view::npos) return false;
  if ((text[0] == '-' || text[0] == '?' || text[0] == ':') && (text.size() == 1 || text[1] == ' ')) return false;
  if (text.starts_with("---") || text.starts_with("...")) return false;
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos) return false;
  return !reads_as_other_type(text);
}

// Double-quoted: JSON's escapes are YAML's, except for characters beyond the first plane, which JSON writes as two halves.
std::string escaped(const Json& text) {
  const std::string json = text.dump(-1, ' ', true, Json::error_handler_t::replace);
  std::string out;
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '\\') {
      out += json[i];
      continue;
    }
    const bool half = json[i + 1] == 'u' && json[i + 2] == 'd' && json[i + 3] >= '8';
    if (!half) {
      out += json[i];
      out += json[++i];
      continue;
    }
    const unsigned long high = std::stoul(json.substr(i + 2, 4), nullptr, 16);
    const unsigned long low = std::stoul(json.substr(i + 8, 4), nullptr, 16);
    std::array<char, 16> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "\\U%08lX", 0x10000 + ((high - 0xD800) << 10U) + (low - 0xDC00));
    out += buffer.data();
    i += 11;
  }
  return out;
}

std::string scalar(const Json& value) {
  if (value.is_null()) return "null";
  if (!value.is_string()) return value.dump();
  const auto& text = value.get_ref<const std::string&>();
  if (!printable_ascii(text)) return escaped(value);
  if (plain_is_safe(text)) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

// `value` after "key:" or "-"; a block goes on the following lines, indented by `indent`.
void append_value(std::string& out, const Json& value, std::size_t indent, bool in_list);

void append_members(std::string& out, const Json& object, std::size_t indent, bool first_inline) {
  for (const auto& [key, member] : object.items()) {
    if (!first_inline) out += std::string(indent, ' ');
    first_inline = false;
    out += scalar(Json(key)) + ":";
    append_value(out, member, indent, false);
  }
}

void append_items(std::string& out, const Json& array, std::size_t indent, bool first_inline) {
  for (const Json& item : array) {
    if (!first_inline) out += std::string(indent, ' ');
    first_inline = false;
    out += "-";
    append_value(out, item, indent, true);
  }
}

void append_value(std::string& out, const Json& value, std::size_t indent, bool in_list) {
  if (value.is_object() && !value.empty()) {
    out += in_list ? " " : "\n";
    append_members(out, value, indent + 2, in_list);
  } else if (value.is_array() && !value.empty()) {
    out += in_list ? " " : "\n";
    append_items(out, value, in_list ? indent + 2 : indent, in_list);
  } else {
    out += " " + (value.is_object() ? "{}" : value.is_array() ? "[]" : scalar(value)) + "\n";
  }
}

}  // namespace

std::string yaml_text(const Listing& listing) {
  if (listing.rows.empty()) return "[]\n";
  std::string out;
  for (const auto& row : listing.rows) {
    Json object = Json::object();
    for (std::size_t i = 0; i < listing.columns.size(); ++i) object[listing.columns[i]] = row[i].machine;
    out += "- ";
    append_members(out, object, 2, true);
  }
  return out;
}

std::string yaml_text(const Details& details) {
  std::string out;
  for (std::size_t i = 0; i < details.fields.size(); ++i) {
    out += scalar(Json(details.fields[i])) + ":";
    append_value(out, details.values[i].machine, 0, false);
  }
  return out;
}

}  // namespace ca::ctl
