#pragma once
// A network driver in memory, with the faults of drivers/hypervisor/fake/faults.h (methods ensure, remove, plug, unplug).

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "drivers/hypervisor/fake/faults.h"
#include "drivers/network.h"

namespace ca {

class FakeNetworkDriver final : public NetworkDriver {
 public:
  [[nodiscard]] std::string bridge_for(const Network& network) const override;
  Result<void> ensure(const Network& network, const std::vector<Subnet>& subnets) override;
  Result<void> remove(const Network& network) override;
  Result<void> plug(const Network& network, const Port& port, const std::string& hostname) override;
  Result<void> unplug(const Network& network, const Port& port) override;

  Faults& faults() { return faults_; }
  // Bridges that NetworkKind::kBridge may name.
  void add_host_bridge(const std::string& name);
  [[nodiscard]] std::vector<std::string> networks() const;  // ids, sorted
  // Ids of the ports plugged into a network, with the host name given.
  [[nodiscard]] std::map<std::string, std::string> plugged(const std::string& network_id) const;

 private:
  Faults faults_;
  mutable std::mutex mutex_;
  std::set<std::string> host_bridges_;
  std::map<std::string, std::map<std::string, std::string>> networks_;  // id -> port id -> host name
};

}  // namespace ca
