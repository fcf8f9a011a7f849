#include "agent/api/json_text.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace ca {
namespace {

// Text that JSON takes as it is.
bool plain(unsigned char c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != 0x7f; }

}  // namespace

void JsonText::separate() {
  if (comma_) text_ += ',';
  comma_ = true;
}

JsonText& JsonText::open(char bracket) {
  separate();
  text_ += bracket;
  comma_ = false;
  return *this;
}

JsonText& JsonText::close(char bracket) {
  text_ += bracket;
  comma_ = true;
  return *this;
}

JsonText& JsonText::key(std::string_view name) {
  value(name);
  text_ += ':';
  comma_ = false;
  return *this;
}

JsonText& JsonText::value(std::string_view text) {
  separate();
  if (std::ranges::all_of(text, plain)) {
    text_ += '"';
    text_ += text;
    text_ += '"';
  } else {
    // Escapes, and UTF-8 that may be broken.
    text_ += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  return *this;
}

JsonText& JsonText::value(std::int64_t number) {
  separate();
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  text_.append(digits, end);
  return *this;
}

JsonText& JsonText::value(bool yes) { return raw(yes ? "true" : "false"); }

JsonText& JsonText::null() { return raw("null"); }

JsonText& JsonText::value_or_null(std::string_view text) { return text.empty() ? null() : value(text); }

JsonText& JsonText::raw(std::string_view json) {
  separate();
  text_ += json;
  return *this;
}

}  // namespace ca
