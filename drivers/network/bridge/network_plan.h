#pragma once
// What a libvirt network should be, as a value that can be compared with the one that exists, and its XML. Pure.

#include <optional>
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "agent/core/values.h"
#include "drivers/network/bridge/address.h"

namespace ca::net {

struct RangePlan {
  std::string start, end;
  bool operator==(const RangePlan&) const = default;
};

struct IpPlan {
  std::string address;  // of the bridge
  int prefix = 0;
  std::vector<RangePlan> ranges;  // DHCP; IPv4 only
  bool operator==(const IpPlan&) const = default;
};

struct NetworkPlan {
  std::string uuid, name, bridge;
  bool nat = false;
  long long mtu = 0;
  std::string domain;
  std::vector<std::string> forwarders;
  std::vector<IpPlan> ips;
  bool operator==(const NetworkPlan&) const = default;
};

struct DhcpHost {
  std::string mac, name, ip_address;
  bool operator==(const DhcpHost&) const = default;
};

struct SeenNetwork {
  NetworkPlan plan;
  std::vector<DhcpHost> hosts;
};

// kInvalid names the subnet and the value. IPv4 gets DHCP from the allocation pools; IPv6 gets router advertisements, because
// dnsmasq under libvirt knows no DHCPv6 host by MAC.
[[nodiscard]] Result<NetworkPlan> plan_network(const Network& network, const std::vector<Subnet>& subnets, const std::string& bridge,
                                               const std::string& domain);
// "net-<network id>"
[[nodiscard]] std::string libvirt_network_name(const Uuid& network_id);

[[nodiscard]] std::string network_xml(const NetworkPlan& plan, const std::vector<DhcpHost>& hosts);
[[nodiscard]] Result<SeenNetwork> read_network_xml(const std::string& xml);
[[nodiscard]] std::string dhcp_host_xml(const DhcpHost& host);

// The prefixes of a plan's addresses.
[[nodiscard]] std::vector<Prefix> prefixes_of(const NetworkPlan& plan);
// The address and prefix that serve DHCP, if any.
[[nodiscard]] std::optional<Prefix> dhcp_prefix(const NetworkPlan& plan);

}  // namespace ca::net
