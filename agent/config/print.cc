#include <fmt/format.h>

#include "agent/config/options.h"

namespace ca {
namespace {

// A value as the reader takes it back: dollar signs doubled, quotes around what it would trim or unquote.
std::string ini_value(const std::string& value) {
  std::string text;
  for (const char c : value) text += c == '$' ? "$$" : std::string(1, c);
  const auto special = [](char c) { return c == ' ' || c == '\t' || c == '"' || c == '\''; };
  if (!text.empty() && (special(text.front()) || special(text.back()))) return '"' + text + '"';
  return text;
}

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string default_cell(const Option& option) {
  if (!option.default_words.empty()) return cell(option.default_words);
  return option.default_text.empty() ? "(empty)" : fmt::format("`{}`", cell(option.default_text));
}

}  // namespace

std::string print_config(const LoadedConfig& loaded) {
  std::string text;
  std::string section;
  for (const OptionView& view : loaded.effective) {
    if (view.section != section) {
      text += fmt::format("{}[{}]\n", section.empty() ? "" : "\n", view.section);
      section = view.section;
    }
    text += fmt::format("# {}\n{} = {}\n", view.origin, view.name, ini_value(view.value));
  }
  return text;
}

std::string options_markdown() {
  std::string text = "| section | option | default | allowed | meaning |\n|---|---|---|---|---|\n";
  for (const Option& option : option_table()) {
    text += fmt::format("| `[{}]` | `{}`{} | {} | {} | {} |\n", option.section, option.name, option.ours ? " (ours)" : "",
                        default_cell(option), cell(allowed_words(option)), cell(option.help));
  }
  return text;
}

}  // namespace ca
