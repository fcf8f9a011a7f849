#include "agent/config/ini.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace ca {
namespace {

constexpr std::string_view kBlank = " \t";

std::string_view right_trimmed(std::string_view text) {
  const auto last = text.find_last_not_of(" \t\r");
  return last == std::string_view::npos ? std::string_view{} : text.substr(0, last + 1);
}

std::string_view trimmed(std::string_view text) {
  text = right_trimmed(text);
  const auto first = text.find_first_not_of(kBlank);
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

std::string_view unquoted(std::string_view value) {
  if (value.size() >= 2 && value.front() == value.back() && (value.front() == '"' || value.front() == '\'')) {
    return value.substr(1, value.size() - 2);
  }
  return value;
}

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

class Parser {
 public:
  explicit Parser(const std::string& name) : name_(name) {}

  Result<void> line(std::string_view raw) {
    ++line_;
    const std::string_view text = right_trimmed(raw);
    if (const auto bad = std::ranges::find_if(text, is_control); bad != text.end()) {
      return refuse(fmt::format("control character 0x{:02x} in the line", static_cast<unsigned char>(*bad)),
                    "write the file as plain text");
    }
    if (text.empty()) {
      finish();
      return {};
    }
    if (kBlank.find(text.front()) != std::string_view::npos) return continuation(trimmed(text));
    finish();
    if (text.front() == '#' || text.front() == ';') return {};
    if (text.front() == '[') return section(text);
    return assignment(text);
  }

  IniText done() {
    finish();
    return std::move(ini_);
  }

 private:
  void finish() {
    if (open_) ini_.entries.push_back(*std::move(open_));
    open_.reset();
  }

  Result<void> continuation(std::string_view text) {
    if (!open_) {
      return refuse("the line starts with white space but continues no value", "remove the white space before the name");
    }
    open_->value += '\n';
    open_->value += text;
    return {};
  }

  Result<void> section(std::string_view text) {
    if (text.back() != ']' || text.size() <= 2) {
      return refuse(fmt::format("'{}' is not a section", text.substr(0, 80)), "write it as [name]");
    }
    section_ = text.substr(1, text.size() - 2);
    ini_.sections.push_back({section_, line_});
    return {};
  }

  Result<void> assignment(std::string_view text) {
    const auto sign = text.find_first_of("=:");
    const std::string_view key = sign == std::string_view::npos ? std::string_view{} : trimmed(text.substr(0, sign));
    if (key.empty()) {
      return refuse(fmt::format("'{}' is neither a section nor 'name = value'", text.substr(0, 80)),
                    "write it as name = value, or start the line with '#'");
    }
    if (section_.empty()) {
      return refuse(fmt::format("option '{}' stands before any section", key.substr(0, 80)),
                    "put a line with [DEFAULT] or the option's section before it");
    }
    open_ = IniEntry{section_, std::string(key), std::string(unquoted(trimmed(text.substr(sign + 1)))), line_};
    return {};
  }

  tl::unexpected<Error> refuse(const std::string& reason, std::string next_action) const {
    return fail(Code::kInvalid, fmt::format("{}:{}: {}", name_, line_, reason), std::move(next_action));
  }

  const std::string& name_;
  int line_ = 0;
  std::string section_;
  std::optional<IniEntry> open_;
  IniText ini_;
};

}  // namespace

Result<IniText> parse_ini(std::string_view text, const std::string& name) {
  if (text.size() > kMaxIniBytes) {
    return fail(Code::kTooLarge, fmt::format("{} is larger than {} bytes", name, kMaxIniBytes), "give the configuration file itself");
  }
  Parser parser(name);
  while (!text.empty()) {
    const auto end = text.find('\n');
    CA_TRY_VOID(parser.line(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parser.done();
}

}  // namespace ca
