#pragma once
// IP addresses and prefixes as values. Pure; strict parsing (inet_pton).

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ca::net {

struct Address {
  int version = 4;
  std::array<std::uint8_t, 16> bytes{};  // network order; IPv4 uses the first four

  [[nodiscard]] int bits() const { return version == 4 ? 32 : 128; }
  [[nodiscard]] std::string text() const;
  bool operator==(const Address&) const = default;
};

struct Prefix {
  Address address;  // host bits are kept: 10.0.0.1/24 is an interface's address
  int length = 0;

  [[nodiscard]] bool contains(const Address& other) const;
  [[nodiscard]] bool overlaps(const Prefix& other) const;
  [[nodiscard]] std::string text() const;  // host bits cleared: "10.0.0.0/24"
};

[[nodiscard]] std::optional<Address> parse_address(std::string_view text);
[[nodiscard]] std::optional<Prefix> parse_prefix(std::string_view cidr);

}  // namespace ca::net
