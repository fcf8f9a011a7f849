// The formats for other programs that are lines of text: value, csv, shell.

#include <cctype>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/format/writers.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

// One field as Python's csv module writes it with escapechar '\\'.
std::string csv_field(const std::string& text, bool number, bool only, const std::string& quote) {
  bool quoted = quote == "all" || (quote == "nonnumeric" && !number) || (quote == "minimal" && only && text.empty());
  std::string body;
  for (const char c : text) {
    const bool special = c == ',' || c == '"' || c == '\\' || c == '\n' || c == '\r';
    if (!special) {
      body += c;
    } else if (quote == "none") {
      body += '\\';
      body += c;
    } else if (c == '\\') {
      body += "\\\\";
    } else {
      if (c == '"') body += '"';
      body += c;
      quoted = true;
    }
  }
  return quoted ? "\"" + body + "\"" : body;
}

std::string csv_row(const std::vector<std::string>& texts, const std::vector<bool>& numbers, const std::string& quote) {
  std::vector<std::string> fields;
  for (std::size_t i = 0; i < texts.size(); ++i) fields.push_back(csv_field(texts[i], numbers[i], texts.size() == 1, quote));
  return join(fields, ",") + "\n";
}

// Inside double quotes. cliff escapes the quote only; a name with $(...) would then run when the text is eval'd.
std::string shell_quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '$' || c == '`') out += '\\';
    out += c;
  }
  return out;
}

std::string shell_name(const std::string& field) {
  std::string name;
  for (const char c : lower(field)) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

}  // namespace

std::string csv_text(const Listing& listing, const FormatOptions& options) {
  std::string out = csv_row(listing.columns, std::vector<bool>(listing.columns.size(), false), options.quote);
  for (const auto& row : listing.rows) {
    std::vector<std::string> texts;
    std::vector<bool> numbers;
    for (const Cell& cell : row) {
      texts.push_back(cell.machine.is_null() ? "" : python_str(cell.machine));
      numbers.push_back(cell.machine.is_number() || cell.machine.is_boolean());
    }
    out += csv_row(texts, numbers, options.quote);
  }
  return out;
}

std::string value_text(const Listing& listing) {
  std::string out;
  for (const auto& row : listing.rows) {
    std::vector<std::string> texts;
    for (const Cell& cell : row) texts.push_back(python_str(cell.machine));
    out += join(texts, " ") + "\n";
  }
  return out;
}

std::string value_text(const Details& details) {
  std::string out;
  for (const Cell& cell : details.values) out += python_str(cell.machine) + "\n";
  return out;
}

std::string shell_text(const Details& details, const FormatOptions& options) {
  std::string out;
  for (std::size_t i = 0; i < details.fields.size(); ++i) {
    out += options.prefix + shell_name(details.fields[i]) + "=\"" + shell_quoted(python_str(details.values[i].machine)) + "\"\n";
  }
  return out;
}

}  // namespace ca::ctl
