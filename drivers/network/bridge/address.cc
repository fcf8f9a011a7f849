#include "drivers/network/bridge/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace ca::net {
namespace {

bool same_bits(const Address& a, const Address& b, int count) {
  for (int i = 0; i < count; ++i) {
    const auto mask = static_cast<std::uint8_t>(0x80U >> (i % 8));
    const auto byte = static_cast<std::size_t>(i / 8);
    if (((a.bytes.at(byte) ^ b.bytes.at(byte)) & mask) != 0) return false;
  }
  return true;
}

}  // namespace

std::string Address::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  ::inet_ntop(version == 4 ? AF_INET : AF_INET6, bytes.data(), buffer.data(), buffer.size());
  return buffer.data();
}

bool Prefix::contains(const Address& other) const { return address.version == other.version && same_bits(address, other, length); }

bool Prefix::overlaps(const Prefix& other) const {
  return address.version == other.address.version && same_bits(address, other.address, std::min(length, other.length));
}

std::string Prefix::text() const {
  Address network = address;
  for (int i = length; i < network.bits(); ++i) {
    network.bytes.at(static_cast<std::size_t>(i / 8)) &= static_cast<std::uint8_t>(~(0x80U >> (i % 8)));
  }
  return network.text() + "/" + std::to_string(length);
}

std::optional<Address> parse_address(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  const std::string terminated(text);
  Address address;
  if (::inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) return address;
  address.version = 6;
  if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

std::optional<Prefix> parse_prefix(std::string_view cidr) {
  const auto slash = cidr.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_address(cidr.substr(0, slash));
  const auto digits = cidr.substr(slash + 1);
  int length = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (!address || error != std::errc{} || end != digits.data() + digits.size() || length < 0 || length > address->bits())
    return std::nullopt;
  return Prefix{*address, length};
}

}  // namespace ca::net
