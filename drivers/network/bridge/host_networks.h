#pragma once
// libvirt's network driver as the bridge driver sees it: virtual networks by uuid, their XML as text. The implementation is in
// drivers/hypervisor/libvirt, because it shares the hypervisor's connection; tests have their own.
// Errors as in drivers/hypervisor.h: kUnavailable, kNotFound, kConflict, kExternal.

#include <string>
#include <vector>

#include "agent/core/error.h"

namespace ca {

struct HostNetwork {
  std::string uuid;
  std::string name;
  bool active = false;
  bool persistent = true;
  bool autostart = false;
};

struct DhcpLease {
  std::string mac;
  std::string ip_address;
};

class HostNetworks {
 public:
  virtual ~HostNetworks() = default;
  virtual Result<std::vector<HostNetwork>> list() = 0;
  virtual Result<HostNetwork> find(const std::string& uuid) = 0;
  // The persistent definition.
  virtual Result<std::string> xml(const std::string& uuid) = 0;
  // Creates or replaces the persistent definition.
  virtual Result<void> define(const std::string& xml) = 0;
  // Idempotent: an active network is success; so is an inactive one for destroy, and a missing one for destroy and undefine.
  virtual Result<void> start(const std::string& uuid) = 0;
  virtual Result<void> set_autostart(const std::string& uuid) = 0;
  virtual Result<void> destroy(const std::string& uuid) = 0;
  virtual Result<void> undefine(const std::string& uuid) = 0;
  // Adds or takes away a name of the network's DNS; dnsmasq then reads its DHCP entries anew. kConflict when `ip_address` has one already,
  // or has none to take away.
  virtual Result<void> add_name(const std::string& uuid, const std::string& ip_address, const std::string& name) = 0;
  virtual Result<void> remove_name(const std::string& uuid, const std::string& ip_address) = 0;
  // IPv4 leases that dnsmasq has given and that have not expired.
  virtual Result<std::vector<DhcpLease>> leases(const std::string& uuid) = 0;
};

}  // namespace ca
