#pragma once
// NetworkDriver on Linux bridges: nat and isolated networks are libvirt networks ("net-<id>", dnsmasq for DHCP and DNS); bridge networks
// use a bridge that the host's administrator made.

#include <memory>
#include <string>

#include "drivers/network.h"
#include "drivers/network/bridge/host_links.h"
#include "drivers/network/bridge/host_networks.h"

namespace ca {

struct BridgeNetworkOptions {
  std::string dhcp_domain = "novalocal";
  // $state_path/networks (nova-network's networks_path). DHCP entries live here, one directory per network; dnsmasq's user must be
  // able to pass it.
  std::string networks_path = "/var/lib/nova/networks";
};

// `networks` outlives the driver.
[[nodiscard]] std::unique_ptr<NetworkDriver> make_bridge_network_driver(HostNetworks& networks, BridgeNetworkOptions options = {},
                                                                        std::unique_ptr<HostLinks> links = make_host_links());

}  // namespace ca
