#pragma once
// The kernel's side of the host's networking: routes, bridges, taps, and the DHCP server's ear. Behind an interface, so that the
// driver's decisions are tested without root.

#include <memory>
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "drivers/network/bridge/address.h"

namespace ca {

struct HostRoute {
  net::Prefix destination;
  std::string interface;
};

class HostLinks {
 public:
  virtual ~HostLinks() = default;
  // Every unicast route of the main table.
  virtual Result<std::vector<HostRoute>> routes() = 0;
  [[nodiscard]] virtual bool is_bridge(const std::string& name) = 0;
  // Interfaces enslaved to a bridge.
  virtual Result<std::vector<std::string>> bridge_ports(const std::string& bridge) = 0;
  // Idempotent: a link that is not there is success.
  virtual Result<void> remove_bridge(const std::string& name) = 0;
  // Removes a persistent tap that nothing holds. kConflict while a process holds it, or when it is no tap. Idempotent.
  virtual Result<void> remove_tap(const std::string& name) = 0;
  // Tells the DHCP server on `bridge` that the lease is given back (RFC 2131 DHCPRELEASE, as dnsmasq's dhcp_release does), or
  // it would keep the address from the next port that gets it.
  virtual Result<void> release_lease(const std::string& bridge, const std::string& server_ip, const std::string& ip_address,
                                     const std::string& mac) = 0;
};

// libnl-route, /sys/class/net and /dev/net/tun.
[[nodiscard]] std::unique_ptr<HostLinks> make_host_links();

}  // namespace ca
