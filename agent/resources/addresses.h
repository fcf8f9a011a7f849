#pragma once
// Addresses of subnets. Pure: text in, text out; IPv4 and IPv6.

#include <array>
#include <cstdint>
#include <set>
#include <string>

#include "agent/core/values.h"

namespace ca {

// 16 bytes in network order; IPv4 is mapped (::ffff:a.b.c.d).
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};
  bool v4 = true;
  auto operator<=>(const IpAddress&) const = default;  // NOLINT(modernize-use-nullptr): the check takes the generated body for a 0
};

struct IpPrefix {
  IpAddress network;
  int length = 0;  // of the family: 0..32 or 0..128
};

[[nodiscard]] Result<IpAddress> parse_address(const std::string& text);
[[nodiscard]] Result<IpPrefix> parse_cidr(const std::string& text);  // host bits must be zero
[[nodiscard]] std::string to_string(const IpAddress& address);
[[nodiscard]] bool contains(const IpPrefix& prefix, const IpAddress& address);
[[nodiscard]] bool overlap(const IpPrefix& a, const IpPrefix& b);
[[nodiscard]] std::string netmask(const IpPrefix& prefix);

// Fills what the user left open: gateway (first address), one allocation pool (all but network, gateway and broadcast). kInvalid with
// the value when something lies outside or overlaps itself.
Result<void> complete_subnet(Subnet& subnet, bool gateway_given);

// `wanted` when it is free and inside, else the first free one of the pools. kNoResources: none is left; kConflict: `wanted` is taken.
[[nodiscard]] Result<std::string> pick_address(const Subnet& subnet, const std::set<std::string>& used, const std::string& wanted);

}  // namespace ca
