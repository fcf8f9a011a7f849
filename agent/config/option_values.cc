// How a value of each kind of option is read, checked and written.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "agent/config/options.h"

namespace ca {
namespace {

std::string joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word.empty() ? "nothing" : word;
  }
  return text;
}

std::optional<bool> read_bool(std::string text) {
  constexpr std::array<std::string_view, 4> kTrue{"true", "yes", "on", "1"};
  constexpr std::array<std::string_view, 4> kFalse{"false", "no", "off", "0"};
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (std::ranges::find(kTrue, text) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, text) != kFalse.end()) return false;
  return std::nullopt;
}

template <typename Number>
std::optional<Number> read_number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string> read_list(const std::string& text) {
  std::vector<std::string> items;
  std::string_view rest = text;
  while (true) {
    const auto comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    const auto first = item.find_first_not_of(" \t\n");
    if (first != std::string_view::npos) {
      items.emplace_back(item.substr(first, item.find_last_not_of(" \t\n") - first + 1));
    }
    if (comma == std::string_view::npos) return items;
    rest.remove_prefix(comma + 1);
  }
}

bool is_allowed(const Option& option, std::string_view value) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(value, is_control)) return false;
  if (!option.choices.empty() && std::ranges::find(option.choices, value) == option.choices.end()) return false;
  return option.accepts == nullptr || option.accepts(value);
}

// One reader per kind of member; false: not allowed.
struct Setter {
  const Option& option;
  const std::string& text;
  Config& config;

  bool operator()(std::string Config::*member) const {
    if (!is_allowed(option, text)) return false;
    config.*member = text;
    return true;
  }
  bool operator()(bool Config::*member) const {
    const auto value = read_bool(text);
    if (value) config.*member = *value;
    return value.has_value();
  }
  bool operator()(std::int64_t Config::*member) const {
    const auto value = read_number<std::int64_t>(text);
    if (!value || *value < option.min || *value > option.max) return false;
    config.*member = *value;
    return true;
  }
  bool operator()(double Config::*member) const {
    const auto value = read_number<double>(text);
    if (!value || !std::isfinite(*value) || *value <= 0) return false;
    config.*member = *value;
    return true;
  }
  bool operator()(std::vector<std::string> Config::*member) const {
    std::vector<std::string> items = read_list(text);
    if (!std::ranges::all_of(items, [this](const std::string& item) { return is_allowed(option, item); })) return false;
    config.*member = std::move(items);
    return true;
  }
};

struct Writer {
  const Config& config;

  std::string operator()(std::string Config::*member) const { return config.*member; }
  std::string operator()(bool Config::*member) const { return config.*member ? "true" : "false"; }
  std::string operator()(std::int64_t Config::*member) const { return fmt::format("{}", config.*member); }
  std::string operator()(double Config::*member) const {
    std::string text = fmt::format("{}", config.*member);
    if (text.find_first_not_of("0123456789") == std::string::npos) text += ".0";
    return text;
  }
  std::string operator()(std::vector<std::string> Config::*member) const { return fmt::format("{}", fmt::join(config.*member, ",")); }
};

}  // namespace

std::string allowed_words(const Option& option) {
  if (!option.choices.empty()) return joined(option.choices);
  if (!option.accepts_words.empty()) return std::string(option.accepts_words);
  if (std::holds_alternative<bool Config::*>(option.member)) return "true or false (also yes, no, on, off, 1, 0)";
  if (std::holds_alternative<double Config::*>(option.member)) return "a number above 0";
  if (std::holds_alternative<std::int64_t Config::*>(option.member)) {
    return fmt::format("a whole number from {} to {}", option.min, option.max);
  }
  return "text on one line";
}

std::optional<std::string> set_option(const Option& option, const std::string& text, Config& config) {
  if (std::visit(Setter{option, text, config}, option.member)) return std::nullopt;
  return allowed_words(option);
}

std::string option_text(const Option& option, const Config& config) { return std::visit(Writer{config}, option.member); }

}  // namespace ca
