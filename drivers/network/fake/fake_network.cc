#include "drivers/network/fake/fake_network.h"

namespace ca {

std::string FakeNetworkDriver::bridge_for(const Network& network) const {
  return network.kind == NetworkKind::kBridge ? network.bridge : "br" + network.id.substr(0, 11);
}

Result<void> FakeNetworkDriver::ensure(const Network& network, const std::vector<Subnet>&) {
  CA_TRY_VOID(faults_.enter("ensure", network.id));
  {
    const std::lock_guard lock(mutex_);
    if (network.kind == NetworkKind::kBridge && !host_bridges_.contains(network.bridge)) {
      return fail(Code::kNotFound, "there is no bridge " + network.bridge + " on this host");
    }
    networks_.try_emplace(network.id);
  }
  return faults_.leave("ensure");
}

Result<void> FakeNetworkDriver::remove(const Network& network) {
  CA_TRY_VOID(faults_.enter("remove", network.id));
  {
    const std::lock_guard lock(mutex_);
    networks_.erase(network.id);
  }
  return faults_.leave("remove");
}

Result<void> FakeNetworkDriver::plug(const Network& network, const Port& port, const std::string& hostname) {
  CA_TRY_VOID(faults_.enter("plug", port.id));
  {
    const std::lock_guard lock(mutex_);
    const auto it = networks_.find(network.id);
    if (it == networks_.end()) return fail(Code::kNotFound, "cannot find network " + network.id + " on this host");
    it->second[port.id] = hostname;
  }
  return faults_.leave("plug");
}

Result<void> FakeNetworkDriver::unplug(const Network& network, const Port& port) {
  CA_TRY_VOID(faults_.enter("unplug", port.id));
  {
    const std::lock_guard lock(mutex_);
    const auto it = networks_.find(network.id);
    if (it != networks_.end()) it->second.erase(port.id);
  }
  return faults_.leave("unplug");
}

void FakeNetworkDriver::add_host_bridge(const std::string& name) {
  const std::lock_guard lock(mutex_);
  host_bridges_.insert(name);
}

std::vector<std::string> FakeNetworkDriver::networks() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, ports] : networks_) ids.push_back(id);
  return ids;
}

std::map<std::string, std::string> FakeNetworkDriver::plugged(const std::string& network_id) const {
  const std::lock_guard lock(mutex_);
  const auto it = networks_.find(network_id);
  return it == networks_.end() ? std::map<std::string, std::string>{} : it->second;
}

}  // namespace ca
