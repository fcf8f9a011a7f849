#include "drivers/disk/rbd/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace ca::rbd {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text[0] != '.' && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// Entries separated by commas, semicolons or blanks, but not within brackets.
std::vector<std::string_view> entries(std::string_view text) {
  std::vector<std::string_view> found;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    const char c = at < text.size() ? text[at] : ',';
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (depth > 0 || (c != ',' && c != ';' && c != ' ')) continue;
    if (at > begin) found.push_back(text.substr(begin, at - begin));
    begin = at + 1;
  }
  return found;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// "10.0.0.1:6789", "[::1]:6789", "mon1".
DiskSource::Host host_and_port(std::string_view text) {
  text = text.substr(0, text.find('/'));
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return {};
    const std::string_view rest = text.substr(end + 1);
    return {std::string(text.substr(1, end - 1)), std::string(rest.starts_with(':') ? rest.substr(1) : "")};
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) return {std::string(text), {}};
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

bool is_host(const DiskSource::Host& host) {
  const auto fits = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == ':' || c == '-' || c == '_'; };
  return !host.name.empty() && host.name.size() <= 255 && std::ranges::all_of(host.name, fits) && host.port.size() <= 5 &&
         std::ranges::all_of(host.port, [](char c) { return c >= '0' && c <= '9'; });
}

// One monitor: an address, or a list of its addresses in brackets.
DiskSource::Host monitor(std::string_view entry) {
  const bool list = entry.starts_with("[v") && entry.ends_with(']');
  DiskSource::Host chosen;
  for (std::string_view one : list ? entries(entry.substr(1, entry.size() - 2)) : std::vector<std::string_view>{entry}) {
    const bool v2 = take_prefix(one, "v2:");
    const bool v1 = take_prefix(one, "v1:");
    if (chosen.name.empty() || v1) chosen = host_and_port(one);
    if (v1 || !v2) break;
  }
  return chosen;
}

}  // namespace

Result<Address> parse_address(std::string_view address) {
  const auto slash = address.find('/');
  Address parsed{std::string(address.substr(0, slash)), slash == std::string_view::npos ? "" : std::string(address.substr(slash + 1))};
  if (is_name(parsed.pool) && is_name(parsed.image)) return parsed;
  return fail(Code::kInvalid, fmt::format("'{:.300}' is not the address of an RBD image (pool/image)", address));
}

std::string to_text(const Location& location) {
  return fmt::format("rbd://{}/{}/{}/{}", location.fsid, location.pool, location.image, location.snapshot);
}

Result<Location> parse_location(std::string_view text) {
  std::array<std::string, 4> parts;
  std::string_view rest = text;
  bool good = text.size() <= 1024 && take_prefix(rest, "rbd://");
  for (std::size_t i = 0; good && i < parts.size(); ++i) {
    const auto end = i + 1 < parts.size() ? rest.find('/') : rest.size();
    good = end != std::string_view::npos && is_name(rest.substr(0, end));
    if (!good) break;
    parts[i] = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (good) return Location{parts[0], parts[1], parts[2], parts[3]};
  return fail(Code::kInvalid, fmt::format("'{:.300}' is not a location in RBD (rbd://fsid/pool/image/snapshot)", text));
}

std::vector<DiskSource::Host> parse_monitors(std::string_view mon_host) {
  std::vector<DiskSource::Host> hosts;
  for (const std::string_view entry : entries(mon_host)) {
    DiskSource::Host host = monitor(entry);
    if (!is_host(host)) return {};
    hosts.push_back(std::move(host));
  }
  return hosts;
}

std::string ip_of(std::string_view client_address) {
  for (const std::string_view entry : entries(client_address)) {
    const DiskSource::Host host = monitor(entry);
    if (is_host(host)) return host.name;
  }
  return {};
}

std::optional<std::string> key_in_keyring(std::string_view keyring, std::string_view entity) {
  bool here = false;
  while (!keyring.empty()) {
    const auto end = keyring.find('\n');
    const std::string_view line = trimmed(keyring.substr(0, end));
    keyring.remove_prefix(end == std::string_view::npos ? keyring.size() : end + 1);
    if (line.starts_with('[')) {
      here = line.ends_with(']') && trimmed(line.substr(1, line.size() - 2)) == entity;
      continue;
    }
    const auto sign = line.find('=');
    if (!here || sign == std::string_view::npos || trimmed(line.substr(0, sign)) != "key") continue;
    return std::string(trimmed(line.substr(sign + 1)));
  }
  return std::nullopt;
}

}  // namespace ca::rbd
