#include "agent/domainxml/converters.h"

namespace ca::domainxml {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the well-formed UTF-8 sequence at `at` that XML 1.0 allows, 0 when there is none.
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U; };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 ? (first == 0x7f ? 0 : 1) : (first == '\t' || first == '\n' || first == '\r');
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  unsigned code = first & (0xffU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
    code = (code << 6) | (byte(i) & 0x3fU);
  }
  constexpr unsigned kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < kSmallest[length] || surrogate || code > 0x10ffff || code == 0xfffe || code == 0xffff ? 0 : length;
}

}  // namespace

Node add(Node parent, const char* name) { return parent.append_child(name); }

Node add_text(Node parent, const char* name, const std::string& text) {
  Node node = add(parent, name);
  node.text().set(text.c_str());
  return node;
}

Node add_text(Node parent, const char* name, std::int64_t number) { return add_text(parent, name, std::to_string(number)); }

void set(Node node, const char* attribute, const std::string& value) { node.append_attribute(attribute).set_value(value.c_str()); }

void set(Node node, const char* attribute, std::int64_t value) { set(node, attribute, std::to_string(value)); }

std::string xml_safe(const std::string& text) {
  std::string safe;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = sequence_length(text, at);
    if (length == 0) {
      safe += kReplacement;
      ++at;
    } else {
      safe.append(text, at, length);
      at += length;
    }
  }
  return safe;
}

std::string machine_of(const GuestOptions& options, const std::string& configured) {
  return options.machine.empty() ? configured : options.machine;
}

bool is_q35(const std::string& machine) { return machine.find("q35") != std::string::npos; }

}  // namespace ca::domainxml
