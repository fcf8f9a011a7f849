#pragma once
// Text on its way to a terminal: widths, wrapping, and control characters that must not get there.

#include <string>
#include <string_view>
#include <vector>

namespace ca::ctl {

// Columns that UTF-8 text takes on a terminal. Needs a UTF-8 LC_CTYPE for anything but ASCII (see use_utf8_widths).
[[nodiscard]] std::size_t display_width(std::string_view text);

// Selects the C library's UTF-8 character table, which wcwidth(3) reads. Called once by main.
void use_utf8_widths();

// Control characters (C0 but newline, DEL, C1), bidirectional overrides and bytes that are no UTF-8 become visible
// (\x1b, \u202e), so that text chosen by someone else cannot drive the reader's terminal.
[[nodiscard]] std::string escape_controls(std::string_view text);

// A guest's console log for a terminal: text, newline, tab, carriage return and colours (CSI ... m) pass; every other
// escape sequence and control character is dropped.
[[nodiscard]] std::string console_text_for_terminal(std::string_view text);

// Breaks one line at white space, and after a hyphen between letters, into lines of at most `width` columns; longer words
// are cut, if possible after a hyphen. The rules of Python's textwrap.fill, which the tables of OpenStack's client use.
[[nodiscard]] std::vector<std::string> wrap_line(std::string_view line, std::size_t width);

[[nodiscard]] std::vector<std::string> split_lines(std::string_view text);
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view text);
[[nodiscard]] std::string join(const std::vector<std::string>& parts, std::string_view separator);
[[nodiscard]] std::string lower(std::string_view text);

// Percent-encodes everything but unreserved characters: safe as a path segment and as a query value.
[[nodiscard]] std::string percent_encode(std::string_view text);

// 1.5M, 3G: decimal units, as OpenStack's client prints sizes.
[[nodiscard]] std::string human_size(double bytes);

// The cost of turning `given` into `candidate`; typing too little costs least (cliff's measure).
[[nodiscard]] int edit_distance(std::string_view given, std::string_view candidate);

}  // namespace ca::ctl
