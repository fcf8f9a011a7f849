#include "drivers/network/bridge/bridge_network.h"

#include <algorithm>
#include <array>
#include <utility>

#include "drivers/network/bridge/dhcp_hosts.h"
#include "drivers/network/bridge/network_plan.h"
#include "drivers/network/bridge/turns.h"

namespace ca {
namespace {

using net::NetworkPlan;
using net::Prefix;

// Routes this wide are a host's default in disguise (0.0.0.0/1 of a VPN); networks may lie beneath them.
constexpr int kShortestRoute = 8;
// Starting a network takes libvirt a second or two; a build waits for another's start no longer than this.
constexpr std::chrono::seconds kTurnLimit{60};

bool valid_hostname(const std::string& name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; };
  return !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' && std::ranges::all_of(name, allowed);
}

// In the network's DNS, as neutron's DHCP agent names a port.
std::string name_of(std::string ip_address) {
  std::ranges::replace(ip_address, '.', '-');
  return "host-" + ip_address;
}

bool names_firewall(const std::string& text) {
  constexpr std::array words{"iptables", "ip6tables", "firewall", "nft", "ebtables"};
  return std::ranges::any_of(words, [&](const char* word) { return text.find(word) != std::string::npos; });
}

tl::unexpected<Error> start_failed(Error cause, const Network& network) {
  const std::string what = "cannot start network " + network.id + " (" + std::string(to_string(network.kind)) + ")";
  if (!names_firewall(cause.chain())) return wrap(std::move(cause), what);
  if (network.kind == NetworkKind::kNat) {
    return wrap(std::move(cause), what + ": this host's kernel or tools cannot set up NAT",
                "make the network as an isolated one, or load the kernel's NAT modules (nf_tables, nft_chain_nat) and install iptables");
  }
  return wrap(std::move(cause), what + ": this host's kernel or tools cannot set up a packet filter",
              "use a bridge of the host (a network of kind bridge), or load the kernel's nf_tables modules and install iptables");
}

class BridgeNetworkDriver final : public NetworkDriver {
 public:
  BridgeNetworkDriver(HostNetworks& networks, std::unique_ptr<HostLinks> links, BridgeNetworkOptions options)
      : networks_(networks), links_(std::move(links)), options_(std::move(options)), hosts_(options_.networks_path) {}

  std::string bridge_for(const Network& network) const override {
    return network.kind == NetworkKind::kBridge ? network.bridge : "br" + network.id.substr(0, 11);
  }
  Result<void> ensure(const Network& network, const std::vector<Subnet>& subnets) override;
  Result<void> remove(const Network& network) override;
  Result<void> plug(const Network& network, const Port& port, const std::string& hostname) override;
  Result<void> unplug(const Network& network, const Port& port) override;

 private:
  Result<void> check_bridge(const Network& network);
  Result<void> check_overlap(const NetworkPlan& plan);
  Result<void> check_other_networks(const NetworkPlan& plan, const std::vector<Prefix>& wanted);
  Result<void> make_new(const Network& network, const NetworkPlan& plan);
  Result<void> change(const Network& network, const NetworkPlan& plan, const NetworkPlan& seen, bool active);
  Result<void> start(const Network& network, const NetworkPlan& plan);
  Result<NetworkPlan> read(const std::string& uuid);
  Result<void> drop_leases(const Network& network, const NetworkPlan& seen, const std::string& mac, const std::string& ip_address);
  Result<void> drop_own_leases(const Network& network, const NetworkPlan& seen, const Port& port);
  Result<void> drop_name(const Network& network, const std::string& ip_address);
  Result<void> forget(const Network& network, const NetworkPlan& seen, const Port& port);

  HostNetworks& networks_;
  std::unique_ptr<HostLinks> links_;
  BridgeNetworkOptions options_;
  DhcpHosts hosts_;
  Turns turns_;
};

Result<void> BridgeNetworkDriver::check_bridge(const Network& network) {
  if (links_->is_bridge(network.bridge)) return {};
  return fail(Code::kNotFound, "there is no bridge '" + network.bridge + "' on this host, which network " + network.id + " names",
              "make it (ip link add " + network.bridge + " type bridge), or name an existing bridge");
}

Result<NetworkPlan> BridgeNetworkDriver::read(const std::string& uuid) {
  CA_TRY(const std::string xml, networks_.xml(uuid));
  return net::read_network_xml(xml);
}

Result<void> BridgeNetworkDriver::ensure(const Network& network, const std::vector<Subnet>& subnets) {
  if (network.kind == NetworkKind::kBridge) return check_bridge(network);
  CA_TRY(const NetworkPlan plan,
         net::plan_network(network, subnets, bridge_for(network), options_.dhcp_domain, hosts_.directory(network.id)));
  CA_TRY(const Turns::Turn turn, turns_.take(network.id, kTurnLimit));
  if (!plan.hosts_dir.empty()) CA_TRY_VOID(hosts_.prepare(network.id));
  auto found = networks_.find(network.id);
  if (!found && found.error().code == Code::kNotFound) return make_new(network, plan);
  if (!found) return tl::unexpected<Error>(std::move(found).error());
  CA_TRY(const NetworkPlan seen, read(network.id));
  if (seen != plan || !found->persistent) {
    CA_TRY_VOID(change(network, plan, seen, found->active));
  } else if (!found->active) {
    CA_TRY_VOID(check_overlap(plan));
    CA_TRY_VOID(start(network, plan));
  }
  if (!found->autostart) return networks_.set_autostart(network.id);
  return {};
}

Result<void> BridgeNetworkDriver::make_new(const Network& network, const NetworkPlan& plan) {
  CA_TRY_VOID(check_overlap(plan));
  CA_TRY_VOID(networks_.define(net::network_xml(plan)));
  if (auto started = start(network, plan); !started) {
    static_cast<void>(networks_.undefine(network.id));  // the failure to start is what the caller must hear
    return started;
  }
  return networks_.set_autostart(network.id);
}

Result<void> BridgeNetworkDriver::change(const Network& network, const NetworkPlan& plan, const NetworkPlan& seen, bool active) {
  if (active) {
    // A restart takes the bridge away and with it every port.
    CA_TRY(const auto ports, links_->bridge_ports(seen.bridge));
    if (!ports.empty()) {
      return fail(
          Code::kConflict,
          "network " + network.id + " cannot be changed while " + std::to_string(ports.size()) + " ports are plugged into " + seen.bridge,
          "stop the instances on it, then try again");
    }
  }
  CA_TRY_VOID(check_overlap(plan));
  CA_TRY_VOID(networks_.define(net::network_xml(plan)));
  if (active) CA_TRY_VOID(networks_.destroy(network.id));
  return start(network, plan);
}

Result<void> BridgeNetworkDriver::start(const Network& network, const NetworkPlan& plan) {
  // A bridge of that name without a running network was left behind, and libvirt would refuse it.
  if (links_->is_bridge(plan.bridge)) {
    CA_TRY(const auto ports, links_->bridge_ports(plan.bridge));
    if (!ports.empty()) {
      return fail(Code::kConflict,
                  "bridge " + plan.bridge + " of network " + network.id + " exists already and has ports (" + ports.front() + ")",
                  "stop what uses it and remove it (ip link delete " + plan.bridge + ")");
    }
    CA_TRY_VOID(links_->remove_bridge(plan.bridge));
  }
  if (auto started = networks_.start(network.id); !started) return start_failed(std::move(started).error(), network);
  return {};
}

Result<void> BridgeNetworkDriver::check_overlap(const NetworkPlan& plan) {
  const auto wanted = net::prefixes_of(plan);
  CA_TRY(const auto routes, links_->routes());
  for (const auto& route : routes) {
    if (route.interface == plan.bridge || route.destination.length < kShortestRoute) continue;
    for (const auto& prefix : wanted) {
      if (!prefix.overlaps(route.destination)) continue;
      return fail(Code::kConflict,
                  "the addresses " + prefix.text() + " of network " + plan.uuid + " overlap the host's route " + route.destination.text() +
                      " on " + route.interface,
                  "choose another cidr for the subnet");
    }
  }
  return check_other_networks(plan, wanted);
}

Result<void> BridgeNetworkDriver::check_other_networks(const NetworkPlan& plan, const std::vector<Prefix>& wanted) {
  CA_TRY(const auto others, networks_.list());
  for (const auto& other : others) {
    if (other.uuid == plan.uuid) continue;
    auto seen = read(other.uuid);
    if (!seen && seen.error().code == Code::kNotFound) continue;  // gone since it was listed
    if (!seen) return tl::unexpected<Error>(std::move(seen).error());
    for (const auto& theirs : net::prefixes_of(*seen)) {
      for (const auto& prefix : wanted) {
        if (!prefix.overlaps(theirs)) continue;
        return fail(Code::kConflict,
                    "the addresses " + prefix.text() + " of network " + plan.uuid + " overlap " + theirs.text() + " of libvirt network '" +
                        other.name + "'",
                    "choose another cidr for the subnet, or remove that network");
      }
    }
  }
  return {};
}

Result<void> BridgeNetworkDriver::remove(const Network& network) {
  if (network.kind == NetworkKind::kBridge) return {};
  CA_TRY(const Turns::Turn turn, turns_.take(network.id, kTurnLimit));
  CA_TRY_VOID(networks_.destroy(network.id));
  CA_TRY_VOID(networks_.undefine(network.id));
  return hosts_.remove_all(network.id);
}

Result<void> BridgeNetworkDriver::plug(const Network& network, const Port& port, const std::string& hostname) {
  if (network.kind == NetworkKind::kBridge) return check_bridge(network);
  CA_TRY(const NetworkPlan seen, read(network.id));
  const auto served = net::dhcp_prefix(seen);
  if (!served) return {};
  for (const auto& fixed : port.fixed_ips) {
    const auto address = net::parse_address(fixed.ip_address);
    if (!address || !served->contains(*address)) continue;
    const DhcpHost host{port.mac_address, address->text(), valid_hostname(hostname) ? hostname : ""};
    auto replaced = hosts_.put(network.id, host);
    if (!replaced) {
      return wrap(std::move(replaced).error(), "cannot enter port " + port.id + " into the DHCP server of network " + network.id);
    }
    for (const std::string& old : *replaced) CA_TRY_VOID(drop_name(network, old));
    // The second time it is there already.
    auto named = networks_.add_name(network.id, host.ip_address, name_of(host.ip_address));
    if (!named && named.error().code != Code::kConflict) return named;
    return drop_leases(network, seen, host.mac, host.ip_address);
  }
  return {};
}

// Gives back the leases that stand in the way: others that `mac` holds, and `ip_address` when another MAC holds it.
Result<void> BridgeNetworkDriver::drop_leases(const Network& network, const NetworkPlan& seen, const std::string& mac,
                                              const std::string& ip_address) {
  const auto server = net::dhcp_prefix(seen);
  if (!server) return {};
  CA_TRY(const auto leases, networks_.leases(network.id));
  for (const auto& lease : leases) {
    if ((lease.mac == mac) == (lease.ip_address == ip_address)) continue;
    CA_TRY_VOID(links_->release_lease(seen.bridge, server->address.text(), lease.ip_address, lease.mac));
  }
  return {};
}

Result<void> BridgeNetworkDriver::drop_own_leases(const Network& network, const NetworkPlan& seen, const Port& port) {
  const auto server = net::dhcp_prefix(seen);
  if (!server) return {};
  // Without asking first: libvirt learns of a lease some time after dnsmasq gave it.
  for (const auto& fixed : port.fixed_ips) {
    const auto address = net::parse_address(fixed.ip_address);
    if (!address || !server->contains(*address)) continue;
    CA_TRY_VOID(links_->release_lease(seen.bridge, server->address.text(), address->text(), port.mac_address));
  }
  return drop_leases(network, seen, port.mac_address, {});
}

// dnsmasq reads its entries anew when a name goes; before that it would refuse the address to another MAC.
Result<void> BridgeNetworkDriver::drop_name(const Network& network, const std::string& ip_address) {
  auto removed = networks_.remove_name(network.id, ip_address);
  if (!removed && removed.error().code != Code::kConflict && removed.error().code != Code::kNotFound) return removed;
  return {};
}

Result<void> BridgeNetworkDriver::forget(const Network& network, const NetworkPlan& seen, const Port& port) {
  const auto served = net::dhcp_prefix(seen);
  if (!served) return {};
  for (const auto& fixed : port.fixed_ips) {
    const auto address = net::parse_address(fixed.ip_address);
    if (!address || !served->contains(*address)) continue;
    CA_TRY_VOID(drop_name(network, address->text()));
  }
  return drop_own_leases(network, seen, port);
}

Result<void> BridgeNetworkDriver::unplug(const Network& network, const Port& port) {
  if (network.kind != NetworkKind::kBridge) {
    auto seen = read(network.id);
    if (!seen && seen.error().code != Code::kNotFound) return tl::unexpected<Error>(std::move(seen).error());
    CA_TRY_VOID(hosts_.remove(network.id, port.mac_address));
    if (seen) CA_TRY_VOID(forget(network, *seen, port));
  }
  return links_->remove_tap(tap_name(port.id));
}

}  // namespace

std::unique_ptr<NetworkDriver> make_bridge_network_driver(HostNetworks& networks, BridgeNetworkOptions options,
                                                          std::unique_ptr<HostLinks> links) {
  return std::make_unique<BridgeNetworkDriver>(networks, std::move(links), std::move(options));
}

}  // namespace ca
