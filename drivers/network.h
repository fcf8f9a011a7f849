#pragma once
// Networks of a host. bridge/ makes NAT and isolated networks through libvirt's network driver (dnsmasq) and plugs taps into
// Linux bridges. All methods are idempotent, may block, and are called on bounded workers.

#include <string>
#include <vector>

#include "agent/core/error.h"
#include "agent/core/values.h"

namespace ca {

class NetworkDriver {
 public:
  virtual ~NetworkDriver() = default;

  // Host bridge name for a network that we make: "br" + first 11 characters of the id (15 characters at most, IFNAMSIZ).
  [[nodiscard]] virtual std::string bridge_for(const Network& network) const = 0;

  // The network exists and is started, with DHCP ranges and gateway of `subnets`. For NetworkKind::kBridge: the bridge exists,
  // else kNotFound naming it.
  virtual Result<void> ensure(const Network& network, const std::vector<Subnet>& subnets) = 0;
  virtual Result<void> remove(const Network& network) = 0;

  // DHCP host entry (MAC, address, name) of a port.
  virtual Result<void> plug(const Network& network, const Port& port, const std::string& hostname) = 0;
  // The entry is gone, and so is a tap of that name that nothing holds any more.
  virtual Result<void> unplug(const Network& network, const Port& port) = 0;
};

}  // namespace ca
