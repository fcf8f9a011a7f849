#include "agent/resources/addresses.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

namespace ca {
namespace {

int offset_bits(const IpAddress& address) { return address.v4 ? 96 : 0; }

bool bit(const IpAddress& a, int at) { return ((a.bytes[static_cast<std::size_t>(at / 8)] >> (7 - at % 8)) & 1) != 0; }

void set_bits_from(IpAddress& a, int first, bool value) {
  for (int at = first; at < 128; ++at) {
    const auto mask = static_cast<std::uint8_t>(1U << (7 - at % 8));
    auto& byte = a.bytes[static_cast<std::size_t>(at / 8)];
    byte = static_cast<std::uint8_t>(value ? (byte | mask) : (byte & ~mask));
  }
}

IpAddress next(IpAddress a) {
  for (int i = 15; i >= 0; --i) {
    if (++a.bytes[static_cast<std::size_t>(i)] != 0) break;
  }
  return a;
}

IpAddress previous(IpAddress a) {
  for (int i = 15; i >= 0; --i) {
    if (a.bytes[static_cast<std::size_t>(i)]-- != 0) break;
  }
  return a;
}

IpAddress last_of(const IpPrefix& prefix) {
  IpAddress last = prefix.network;
  set_bits_from(last, offset_bits(prefix.network) + prefix.length, true);
  return last;
}

}  // namespace

Result<IpAddress> parse_address(const std::string& text) {
  IpAddress address;
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    address.bytes[10] = address.bytes[11] = 0xff;
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&v4);
    for (std::size_t i = 0; i < 4; ++i) address.bytes[12 + i] = raw[i];
    return address;
  }
  if (::inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.v4 = false;
    return address;
  }
  return fail(Code::kInvalid, fmt::format("'{}' is not an IP address", text));
}

Result<IpPrefix> parse_cidr(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return fail(Code::kInvalid, fmt::format("'{}' is not a subnet range such as 10.77.0.0/24", text));
  CA_TRY(const IpAddress address, parse_address(text.substr(0, slash)));
  IpPrefix prefix{address, -1};
  const char* first = text.data() + slash + 1;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(first, end, prefix.length);
  const int longest = address.v4 ? 32 : 128;
  if (error != std::errc{} || rest != end || prefix.length < 0 || prefix.length > longest) {
    return fail(Code::kInvalid, fmt::format("'{}' has no prefix length of 0 to {}", text, longest));
  }
  for (int at = offset_bits(address) + prefix.length; at < 128; ++at) {
    if (bit(address, at)) return fail(Code::kInvalid, fmt::format("'{}' has host bits set", text), "give the network's first address");
  }
  return prefix;
}

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.v4) {
    ::inet_ntop(AF_INET, address.bytes.data() + 12, text, sizeof text);
  } else {
    ::inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
  }
  return text;
}

bool contains(const IpPrefix& prefix, const IpAddress& address) {
  if (prefix.network.v4 != address.v4) return false;
  const int bits = offset_bits(address) + prefix.length;
  for (int at = 0; at < bits; ++at) {
    if (bit(prefix.network, at) != bit(address, at)) return false;
  }
  return true;
}

bool overlap(const IpPrefix& a, const IpPrefix& b) { return contains(a, b.network) || contains(b, a.network); }

std::string netmask(const IpPrefix& prefix) {
  IpAddress mask = prefix.network;
  set_bits_from(mask, offset_bits(mask), true);
  set_bits_from(mask, offset_bits(mask) + prefix.length, false);
  return to_string(mask);
}

Result<void> complete_subnet(Subnet& subnet, bool gateway_given) {
  CA_TRY(const IpPrefix prefix, parse_cidr(subnet.cidr));
  if (prefix.network.v4 != (subnet.ip_version == 4)) {
    return fail(Code::kInvalid, fmt::format("{} is not an IPv{} range", subnet.cidr, subnet.ip_version));
  }
  if (prefix.length > (prefix.network.v4 ? 30 : 126)) {
    return fail(Code::kInvalid, fmt::format("{} has no room for a gateway and a guest", subnet.cidr), "use a larger range, such as a /24");
  }
  const IpAddress last = last_of(prefix);
  if (!gateway_given) subnet.gateway_ip = to_string(next(prefix.network));
  if (!subnet.gateway_ip.empty()) {
    CA_TRY(const IpAddress gateway, parse_address(subnet.gateway_ip));
    if (!contains(prefix, gateway) || gateway == prefix.network || (gateway.v4 && gateway == last)) {
      return fail(Code::kInvalid, fmt::format("gateway {} is no host address of {}", subnet.gateway_ip, subnet.cidr));
    }
  }
  if (subnet.allocation_pools.empty()) {
    IpAddress first = next(prefix.network);
    if (to_string(first) == subnet.gateway_ip) first = next(first);
    IpAddress end = prefix.network.v4 ? previous(last) : last;
    if (to_string(end) == subnet.gateway_ip) end = previous(end);
    subnet.allocation_pools.push_back({to_string(first), to_string(end)});
  }
  std::vector<std::pair<IpAddress, IpAddress>> seen;
  for (const AddressRange& pool : subnet.allocation_pools) {
    CA_TRY(const IpAddress start, parse_address(pool.start));
    CA_TRY(const IpAddress end, parse_address(pool.end));
    if (end < start || !contains(prefix, start) || !contains(prefix, end)) {
      return fail(Code::kInvalid, fmt::format("allocation pool {}-{} is not inside {}", pool.start, pool.end, subnet.cidr));
    }
    for (const auto& [other_start, other_end] : seen) {
      if (start <= other_end && other_start <= end) {
        return fail(Code::kInvalid, fmt::format("allocation pool {}-{} overlaps another pool", pool.start, pool.end));
      }
    }
    seen.emplace_back(start, end);
  }
  for (const std::string& server : subnet.dns_nameservers) CA_TRY_VOID(parse_address(server));
  return {};
}

Result<std::string> pick_address(const Subnet& subnet, const std::set<std::string>& used, const std::string& wanted) {
  if (!wanted.empty()) {
    CA_TRY(const IpAddress address, parse_address(wanted));
    CA_TRY(const IpPrefix prefix, parse_cidr(subnet.cidr));
    const std::string text = to_string(address);
    if (!contains(prefix, address)) return fail(Code::kInvalid, fmt::format("address {} is not in {}", wanted, subnet.cidr));
    if (text == subnet.gateway_ip || used.contains(text)) {
      return fail(Code::kConflict, fmt::format("address {} of subnet {} is in use", text, subnet.cidr));
    }
    return text;
  }
  for (const AddressRange& pool : subnet.allocation_pools) {
    CA_TRY(IpAddress at, parse_address(pool.start));
    CA_TRY(const IpAddress end, parse_address(pool.end));
    // At most used.size() + 1 steps are needed to find a free one.
    for (std::size_t steps = 0; at <= end && steps <= used.size() + 1; ++steps, at = next(at)) {
      const std::string text = to_string(at);
      if (text != subnet.gateway_ip && !used.contains(text)) return text;
    }
  }
  return fail(Code::kNoResources, fmt::format("subnet {} has no free address left", subnet.cidr), "delete ports, or add a subnet");
}

}  // namespace ca
