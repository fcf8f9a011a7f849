#pragma once
// DHCP entries as files that dnsmasq watches (dnsmasq(8), --dhcp-hostsdir): <root>/<network id>/<mac>_<address>. An entry is in force as
// soon as its file is there, without a signal. libvirt's own way (virNetworkUpdate of ip-dhcp-host) takes the network's firewall rules
// away and puts them back for every port, which costs 0.2 to 0.4 s and drops packets. dnsmasq forgets an entry whose file is gone when it
// next reads all of them anew, which the driver makes it do (HostNetworks::remove_name).

#include <string>
#include <vector>

#include "agent/core/error.h"
#include "agent/core/ids.h"

namespace ca {

struct DhcpHost {
  std::string mac, ip_address;
  std::string name;  // may be empty
};

class DhcpHosts {
 public:
  explicit DhcpHosts(std::string root) : root_(std::move(root)) {}

  [[nodiscard]] std::string directory(const Uuid& network_id) const { return root_ + "/" + network_id; }
  // The directory is there and dnsmasq, which runs as another user, can reach it; else kForbidden naming the directory in its way.
  Result<void> prepare(const Uuid& network_id) const;
  // Durable. Another address of the MAC is replaced, and answered; kConflict when another MAC has the address. The directory is there.
  Result<std::vector<std::string>> put(const Uuid& network_id, const DhcpHost& host) const;
  // Idempotent, both.
  Result<void> remove(const Uuid& network_id, const std::string& mac) const;
  Result<void> remove_all(const Uuid& network_id) const;

 private:
  std::string root_;
};

}  // namespace ca
