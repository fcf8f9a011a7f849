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
  std::string hosts_dir;  // of the DHCP entries (dhcp_hosts.h)
  std::vector<std::string> forwarders;
  std::vector<IpPlan> ips;
  bool operator==(const NetworkPlan&) const = default;
};

// kInvalid names the subnet and the value. IPv4 gets DHCP from the allocation pools; IPv6 gets router advertisements.
[[nodiscard]] Result<NetworkPlan> plan_network(const Network& network, const std::vector<Subnet>& subnets, const std::string& bridge,
                                               const std::string& domain, const std::string& hosts_dir);
// "net-<network id>"
[[nodiscard]] std::string libvirt_network_name(const Uuid& network_id);

[[nodiscard]] std::string network_xml(const NetworkPlan& plan);
[[nodiscard]] Result<NetworkPlan> read_network_xml(const std::string& xml);

// The prefixes of a plan's addresses.
[[nodiscard]] std::vector<Prefix> prefixes_of(const NetworkPlan& plan);
// The address and prefix that serve DHCP, if any.
[[nodiscard]] std::optional<Prefix> dhcp_prefix(const NetworkPlan& plan);

}  // namespace ca::net
