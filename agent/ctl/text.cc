#include "agent/ctl/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <clocale>
#include <cstdint>
#include <cstdio>
#include <cwchar>

namespace ca::ctl {
namespace {

constexpr char32_t kBad = 0xFFFFFFFF;

struct Decoded {
  char32_t code = kBad;  // kBad: not UTF-8, one byte long
  std::size_t size = 1;
};

Decoded decode(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xF0 && lead < 0xF5 ? 4 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xC2 && lead < 0xE0 ? 2 : 0;
  if (size == 0 || text.size() < size) return {};
  char32_t code = lead & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return {};
    code = (code << 6U) | (next & 0x3FU);
  }
  constexpr std::array<char32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[size] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {};
  return {code, size};
}

bool drives_terminal(char32_t code) {
  return (code < 0x20 && code != '\n') || (code >= 0x7F && code < 0xA0) || (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0x200E || code == 0x200F || code == 0x061C;
}

std::size_t width_of(char32_t code) {
  if (code == kBad) return 1;
  const int width = wcwidth(static_cast<wchar_t>(code));
  return width < 0 ? 1 : static_cast<std::size_t>(width);
}

std::string hex_escape(unsigned value, bool wide) {
  std::array<char, 16> buffer{};
  std::snprintf(buffer.data(), buffer.size(), wide ? "\\u%04x" : "\\x%02x", value);
  return buffer.data();
}

bool is_ascii_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

// The length of the escape sequence that `text` starts with (its first character is ESC or C1's CSI).
std::size_t sequence_length(std::string_view text) {
  if (text.size() < 2) return text.size();
  if (text[1] == '[') {
    std::size_t end = 2;
    while (end < text.size() && (text[end] < 0x40 || text[end] > 0x7E)) {
      if (static_cast<unsigned char>(text[end]) < 0x20) return end;  // cut short; what follows is text again
      ++end;
    }
    return std::min(end + 1, text.size());
  }
  if (text[1] == ']' || text[1] == 'P' || text[1] == '_' || text[1] == '^' || text[1] == 'X') {  // strings: to BEL or ST
    for (std::size_t end = 2; end < text.size(); ++end) {
      if (text[end] == '\a') return end + 1;
      if (text[end] == '\x1b') return std::min(end + 2, text.size());
      if (text[end] == '\n') return end;
    }
    return text.size();
  }
  std::size_t end = 1;
  while (end < text.size() && text[end] >= 0x20 && text[end] <= 0x2F) ++end;
  return std::min(end + 1, text.size());
}

bool is_colour(std::string_view sequence) {
  return sequence.size() >= 3 && sequence[1] == '[' && sequence.back() == 'm' &&
         std::all_of(sequence.begin() + 2, sequence.end() - 1, [](char c) { return (c >= '0' && c <= '9') || c == ';' || c == ':'; });
}

bool letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || static_cast<unsigned char>(c) >= 0x80; }

// textwrap breaks after a hyphen behind two letters ("well-known") or a chain of single ones ("x-y-z"), before letters.
bool break_after_hyphen(std::string_view text, std::size_t hyphen) {
  const auto letter_at = [&](std::size_t at) { return at < text.size() && letter(text[at]); };
  const bool two_letters = hyphen >= 2 && letter_at(hyphen - 1) && letter_at(hyphen - 2);
  const bool chain = hyphen >= 3 && text[hyphen - 1] != '-' && text[hyphen - 2] == '-' && letter_at(hyphen - 3);
  const bool letters_follow =
      letter_at(hyphen + 1) && (letter_at(hyphen + 2) || (text.substr(hyphen + 2, 1) == "-" && letter_at(hyphen + 3)));
  return (two_letters || chain) && letters_follow;
}

// White space and words, in order.
std::vector<std::string> chunks_of(std::string_view line) {
  std::vector<std::string> chunks;
  std::size_t start = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool space = line[i] == ' ';
    const bool at_end = i + 1 == line.size();
    const bool turns = !at_end && space != (line[i + 1] == ' ');
    if (at_end || turns || (line[i] == '-' && break_after_hyphen(line, i))) {
      chunks.emplace_back(line.substr(start, i + 1 - start));
      start = i + 1;
    }
  }
  return chunks;
}

// The longest prefix of whole characters within `width` columns, at least one character.
std::size_t prefix_within(std::string_view text, std::size_t width) {
  std::size_t used = 0;
  std::size_t size = 0;
  while (size < text.size()) {
    const Decoded next = decode(text.substr(size));
    const std::size_t columns = width_of(next.code);
    if (size > 0 && used + columns > width) break;
    used += columns;
    size += next.size;
  }
  return size;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  if (is_ascii_text(text)) return text.size();
  std::size_t width = 0;
  while (!text.empty()) {
    const Decoded next = decode(text);
    width += width_of(next.code);
    text.remove_prefix(next.size);
  }
  return width;
}

void use_utf8_widths() {
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
}

std::string escape_controls(std::string_view text) {
  if (is_ascii_text(text)) return std::string(text);
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const Decoded next = decode(text);
    if (next.code == kBad) {
      out += hex_escape(static_cast<unsigned char>(text[0]), false);
    } else if (drives_terminal(next.code)) {
      out += hex_escape(static_cast<unsigned>(next.code), next.code > 0xFF);
    } else {
      out += text.substr(0, next.size);
    }
    text.remove_prefix(next.size);
  }
  return out;
}

std::string console_text_for_terminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::size_t size = 1;
    if (text[0] == '\x1b') {
      size = sequence_length(text);
      if (is_colour(text.substr(0, size))) out += text.substr(0, size);
    } else {
      const Decoded next = decode(text);
      size = next.size;
      const bool layout = next.code == '\n' || next.code == '\t' || next.code == '\r';
      if (next.code == kBad) {
        out += '?';
      } else if (layout || !drives_terminal(next.code)) {
        out += text.substr(0, size);
      }
    }
    text.remove_prefix(size);
  }
  return out;
}

std::vector<std::string> wrap_line(std::string_view line, std::size_t width) {
  width = std::max<std::size_t>(width, 1);
  if (display_width(line) <= width) return {std::string(line)};
  std::vector<std::string> chunks = chunks_of(line);
  std::reverse(chunks.begin(), chunks.end());
  std::vector<std::string> lines;
  while (!chunks.empty()) {
    if (!lines.empty() && chunks.back().find_first_not_of(' ') == std::string::npos) {
      chunks.pop_back();
      continue;
    }
    std::string current;
    std::size_t used = 0;
    while (!chunks.empty() && used + display_width(chunks.back()) <= width) {
      used += display_width(chunks.back());
      current += chunks.back();
      chunks.pop_back();
    }
    if (!chunks.empty() && display_width(chunks.back()) > width && used < width) {
      std::size_t cut = prefix_within(chunks.back(), width - used);
      const std::size_t hyphen = chunks.back().rfind('-', cut - 1);
      if (hyphen != std::string::npos && chunks.back().find_first_not_of('-') < hyphen) cut = hyphen + 1;
      current += chunks.back().substr(0, cut);
      chunks.back().erase(0, cut);
      if (chunks.back().empty()) chunks.pop_back();
    }
    current.erase(current.find_last_not_of(' ') + 1);
    if (!current.empty()) lines.push_back(std::move(current));
  }
  return lines;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  std::size_t start = 0;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', start)) {
    lines.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  lines.emplace_back(text.substr(start));
  return lines;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t at = text.find_first_not_of(' ');
  while (at != std::string_view::npos) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(' ', end);
  }
  return words;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (alphanumeric || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 0xFU];
    }
  }
  return out;
}

std::string human_size(double bytes) {
  constexpr std::array<const char*, 9> kUnits{"", "K", "M", "G", "T", "P", "E", "Z", "Y"};
  std::size_t unit = 0;
  while (bytes >= 1000.0 && unit + 1 < kUnits.size()) {
    bytes /= 1000.0;
    ++unit;
  }
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.1f", bytes);
  std::string number = buffer.data();
  if (number.ends_with(".0")) number.erase(number.size() - 2);
  return number + kUnits[unit];
}

int edit_distance(std::string_view given, std::string_view candidate) {
  constexpr int kSubstitute = 2;
  constexpr int kInsert = 1;
  constexpr int kDelete = 3;
  std::vector<int> before(candidate.size() + 1);
  std::vector<int> above(candidate.size() + 1);
  std::vector<int> row(candidate.size() + 1);
  for (std::size_t j = 0; j <= candidate.size(); ++j) above[j] = static_cast<int>(j) * kInsert;
  for (std::size_t i = 0; i < given.size(); ++i) {
    row[0] = static_cast<int>(i + 1) * kDelete;
    for (std::size_t j = 0; j < candidate.size(); ++j) {
      row[j + 1] = std::min({above[j] + (given[i] == candidate[j] ? 0 : kSubstitute), row[j] + kInsert, above[j + 1] + kDelete});
      const bool swapped = i > 0 && j > 0 && given[i - 1] == candidate[j] && given[i] == candidate[j - 1];
      if (swapped) row[j + 1] = std::min(row[j + 1], before[j - 1]);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[candidate.size()];
}

}  // namespace ca::ctl
