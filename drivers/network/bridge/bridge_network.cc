#include "drivers/network/bridge/bridge_network.h"

#include <algorithm>
#include <array>
#include <utility>

#include "drivers/network/bridge/network_plan.h"
#include "drivers/network/bridge/turns.h"

namespace ca {
namespace {

using net::DhcpHost;
using net::NetworkPlan;
using net::Prefix;
using net::SeenNetwork;

// Routes this wide are a host's default in disguise (0.0.0.0/1 of a VPN); networks may lie beneath them.
constexpr int kShortestRoute = 8;
// Somebody else may change the same entries between our look and our change.
constexpr int kPlugAttempts = 4;
// Starting a network takes libvirt a second or two; a build waits for another's start no longer than this.
constexpr std::chrono::seconds kTurnLimit{60};

bool valid_hostname(const std::string& name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; };
  return !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' && std::ranges::all_of(name, allowed);
}

// dnsmasq takes a name once. The second of a name gets the one that neutron's DHCP agent gives.
std::string unique_name(const std::string& wanted, const std::string& ip_address, const std::string& mac,
                        const std::vector<DhcpHost>& hosts) {
  const bool taken = std::ranges::any_of(hosts, [&](const DhcpHost& host) { return host.name == wanted && host.mac != mac; });
  if (valid_hostname(wanted) && !taken) return wanted;
  std::string name = "host-" + ip_address;
  std::ranges::replace(name, '.', '-');
  return name;
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
      : networks_(networks), links_(std::move(links)), options_(std::move(options)) {}

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
  Result<void> change(const Network& network, const NetworkPlan& plan, const SeenNetwork& seen, bool active);
  Result<void> start(const Network& network, const NetworkPlan& plan);
  Result<SeenNetwork> read(const std::string& uuid);
  Result<void> put_host(const Network& network, const SeenNetwork& seen, const DhcpHost& host);
  Result<void> drop_leases(const Network& network, const SeenNetwork& seen, const std::string& mac, const std::string& ip_address,
                           bool keep);

  HostNetworks& networks_;
  std::unique_ptr<HostLinks> links_;
  BridgeNetworkOptions options_;
  Turns turns_;
};

Result<void> BridgeNetworkDriver::check_bridge(const Network& network) {
  if (links_->is_bridge(network.bridge)) return {};
  return fail(Code::kNotFound, "there is no bridge '" + network.bridge + "' on this host, which network " + network.id + " names",
              "make it (ip link add " + network.bridge + " type bridge), or name an existing bridge");
}

Result<SeenNetwork> BridgeNetworkDriver::read(const std::string& uuid) {
  CA_TRY(const std::string xml, networks_.xml(uuid));
  return net::read_network_xml(xml);
}

Result<void> BridgeNetworkDriver::ensure(const Network& network, const std::vector<Subnet>& subnets) {
  if (network.kind == NetworkKind::kBridge) return check_bridge(network);
  CA_TRY(const NetworkPlan plan, net::plan_network(network, subnets, bridge_for(network), options_.dhcp_domain));
  CA_TRY(const Turns::Turn turn, turns_.take(network.id, kTurnLimit));
  auto found = networks_.find(network.id);
  if (!found && found.error().code == Code::kNotFound) return make_new(network, plan);
  if (!found) return tl::unexpected<Error>(std::move(found).error());
  CA_TRY(const SeenNetwork seen, read(network.id));
  if (seen.plan != plan || !found->persistent) {
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
  CA_TRY_VOID(networks_.define(net::network_xml(plan, {})));
  if (auto started = start(network, plan); !started) {
    static_cast<void>(networks_.undefine(network.id));  // the failure to start is what the caller must hear
    return started;
  }
  return networks_.set_autostart(network.id);
}

Result<void> BridgeNetworkDriver::change(const Network& network, const NetworkPlan& plan, const SeenNetwork& seen, bool active) {
  if (active) {
    // A restart takes the bridge away and with it every port.
    CA_TRY(const auto ports, links_->bridge_ports(seen.plan.bridge));
    if (!ports.empty()) {
      return fail(Code::kConflict,
                  "network " + network.id + " cannot be changed while " + std::to_string(ports.size()) + " ports are plugged into " +
                      seen.plan.bridge,
                  "stop the instances on it, then try again");
    }
  }
  CA_TRY_VOID(check_overlap(plan));
  CA_TRY_VOID(networks_.define(net::network_xml(plan, seen.hosts)));
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
    for (const auto& theirs : net::prefixes_of(seen->plan)) {
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
  return networks_.undefine(network.id);
}

Result<void> BridgeNetworkDriver::plug(const Network& network, const Port& port, const std::string& hostname) {
  if (network.kind == NetworkKind::kBridge) return check_bridge(network);
  for (int attempt = 1;; ++attempt) {
    CA_TRY(const SeenNetwork seen, read(network.id));
    const auto served = net::dhcp_prefix(seen.plan);
    if (!served) return {};
    const auto fixed = std::ranges::find_if(port.fixed_ips, [&](const FixedIp& ip) {
      const auto address = net::parse_address(ip.ip_address);
      return address && served->contains(*address);
    });
    if (fixed == port.fixed_ips.end()) return {};
    const DhcpHost host{port.mac_address, unique_name(hostname, fixed->ip_address, port.mac_address, seen.hosts), fixed->ip_address};
    auto put = put_host(network, seen, host);
    if (!put && put.error().code == Code::kConflict && attempt < kPlugAttempts) continue;
    if (!put) return wrap(std::move(put).error(), "cannot enter port " + port.id + " into the DHCP server of network " + network.id);
    return drop_leases(network, seen, host.mac, host.ip_address, true);
  }
}

Result<void> BridgeNetworkDriver::put_host(const Network& network, const SeenNetwork& seen, const DhcpHost& host) {
  const auto same_ip = std::ranges::find(seen.hosts, host.ip_address, &DhcpHost::ip_address);
  if (same_ip != seen.hosts.end() && same_ip->mac != host.mac) {
    return fail(Code::kConflict, "address " + host.ip_address + " is entered for " + same_ip->mac + " already",
                "delete the port that has this address, or choose another one");
  }
  const auto same_mac = std::ranges::find(seen.hosts, host.mac, &DhcpHost::mac);
  if (same_mac != seen.hosts.end() && *same_mac == host) return {};
  const auto change = same_mac == seen.hosts.end() ? HostNetworks::DhcpHostChange::kAdd : HostNetworks::DhcpHostChange::kModify;
  return networks_.change_dhcp_host(network.id, change, net::dhcp_host_xml(host));
}

// Gives back the leases that stand in the way: what `mac` holds and, when `keep`, not its own `ip_address` but whoever else has it.
Result<void> BridgeNetworkDriver::drop_leases(const Network& network, const SeenNetwork& seen, const std::string& mac,
                                              const std::string& ip_address, bool keep) {
  const auto server = net::dhcp_prefix(seen.plan);
  if (!server) return {};
  CA_TRY(const auto leases, networks_.leases(network.id));
  for (const auto& lease : leases) {
    const bool own_mac = lease.mac == mac;
    const bool own_ip = lease.ip_address == ip_address;
    const bool release = keep ? own_mac != own_ip : own_mac;
    if (release) CA_TRY_VOID(links_->release_lease(seen.plan.bridge, server->address.text(), lease.ip_address, lease.mac));
  }
  return {};
}

Result<void> BridgeNetworkDriver::unplug(const Network& network, const Port& port) {
  if (network.kind != NetworkKind::kBridge) {
    auto seen = read(network.id);
    if (!seen && seen.error().code != Code::kNotFound) return tl::unexpected<Error>(std::move(seen).error());
    if (seen) {
      const auto host = std::ranges::find(seen->hosts, port.mac_address, &DhcpHost::mac);
      if (host != seen->hosts.end()) {
        auto removed = networks_.change_dhcp_host(network.id, HostNetworks::DhcpHostChange::kDelete, net::dhcp_host_xml(*host));
        if (!removed && removed.error().code != Code::kNotFound && removed.error().code != Code::kConflict) return removed;
      }
      CA_TRY_VOID(drop_leases(network, *seen, port.mac_address, {}, false));
    }
  }
  return links_->remove_tap(tap_name(port.id));
}

}  // namespace

std::unique_ptr<NetworkDriver> make_bridge_network_driver(HostNetworks& networks, BridgeNetworkOptions options,
                                                          std::unique_ptr<HostLinks> links) {
  return std::make_unique<BridgeNetworkDriver>(networks, std::move(links), std::move(options));
}

}  // namespace ca
