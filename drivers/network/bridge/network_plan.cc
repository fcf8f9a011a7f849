#include "drivers/network/bridge/network_plan.h"

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>
#include <string_view>

namespace ca::net {
namespace {

constexpr std::string_view kHostsDir = "dhcp-hostsdir=";

std::string canonical(const char* text) {
  const auto address = parse_address(text);
  return address ? address->text() : text;
}

Result<RangePlan> plan_range(const Subnet& subnet, const Prefix& cidr, const AddressRange& pool) {
  const auto start = parse_address(pool.start);
  const auto end = parse_address(pool.end);
  if (!start || !end || !cidr.contains(*start) || !cidr.contains(*end) || start->bytes > end->bytes) {
    return fail(Code::kInvalid,
                "allocation pool " + pool.start + "-" + pool.end + " of subnet " + subnet.id + " is not a range within " + subnet.cidr);
  }
  return RangePlan{start->text(), end->text()};
}

Result<IpPlan> plan_ip(const Subnet& subnet) {
  const auto cidr = parse_prefix(subnet.cidr);
  if (!cidr || cidr->address.version != subnet.ip_version) {
    return fail(Code::kInvalid,
                "subnet " + subnet.id + " has no valid IPv" + std::to_string(subnet.ip_version) + " cidr: '" + subnet.cidr + "'");
  }
  const auto gateway = parse_address(subnet.gateway_ip);
  if (!gateway || !cidr->contains(*gateway)) {
    return fail(Code::kInvalid, "gateway_ip '" + subnet.gateway_ip + "' of subnet " + subnet.id + " is not an address within " +
                                    subnet.cidr + "; the host's bridge needs it to route and to answer DHCP");
  }
  IpPlan ip{.address = gateway->text(), .prefix = cidr->length, .ranges = {}};
  if (!subnet.enable_dhcp || subnet.ip_version != 4) return ip;
  for (const auto& pool : subnet.allocation_pools) {
    CA_TRY(auto range, plan_range(subnet, *cidr, pool));
    ip.ranges.push_back(std::move(range));
  }
  if (ip.ranges.empty()) return fail(Code::kInvalid, "subnet " + subnet.id + " has DHCP switched on and no allocation pool");
  return ip;
}

void append_ip(pugi::xml_node root, const IpPlan& plan) {
  auto ip = root.append_child("ip");
  if (plan.address.find(':') != std::string::npos) ip.append_attribute("family") = "ipv6";
  ip.append_attribute("address") = plan.address.c_str();
  ip.append_attribute("prefix") = plan.prefix;
  if (plan.ranges.empty()) return;
  auto dhcp = ip.append_child("dhcp");
  for (const auto& range : plan.ranges) {
    auto node = dhcp.append_child("range");
    node.append_attribute("start") = range.start.c_str();
    node.append_attribute("end") = range.end.c_str();
  }
}

std::string print(const pugi::xml_node& node) {
  std::ostringstream out;
  node.print(out, "", pugi::format_raw);
  return out.str();
}

// <ip netmask='255.255.255.0'> is the older way to write a prefix.
int prefix_of(const pugi::xml_node& ip) {
  if (const auto prefix = ip.attribute("prefix")) return prefix.as_int();
  const auto mask = parse_address(ip.attribute("netmask").value());
  int length = 0;
  if (mask) {
    for (const auto byte : mask->bytes) length += __builtin_popcount(byte);
  }
  return length;
}

}  // namespace

std::string libvirt_network_name(const Uuid& network_id) { return "net-" + network_id; }

Result<NetworkPlan> plan_network(const Network& network, const std::vector<Subnet>& subnets, const std::string& bridge,
                                 const std::string& domain, const std::string& hosts_dir) {
  if (!is_uuid(network.id)) return fail(Code::kInvalid, "'" + network.id + "' is no network id");
  NetworkPlan plan{.uuid = network.id,
                   .name = libvirt_network_name(network.id),
                   .bridge = bridge,
                   .nat = network.kind == NetworkKind::kNat,
                   .mtu = network.mtu,
                   .domain = domain,
                   .hosts_dir = hosts_dir,
                   .forwarders = {},
                   .ips = {}};
  for (const auto& subnet : subnets) {
    if (subnet.network_id != network.id) continue;
    if (subnet.gateway_ip.empty() && !subnet.enable_dhcp && !plan.nat) continue;  // a bare layer 2
    CA_TRY(auto ip, plan_ip(subnet));
    plan.ips.push_back(std::move(ip));
    for (const auto& server : subnet.dns_nameservers) {
      const auto address = parse_address(server);
      if (!address) return fail(Code::kInvalid, "dns_nameserver '" + server + "' of subnet " + subnet.id + " is no IP address");
      if (std::ranges::find(plan.forwarders, address->text()) == plan.forwarders.end()) plan.forwarders.push_back(address->text());
    }
  }
  plan.nat = plan.nat && !plan.ips.empty();  // nothing to translate before the first subnet, and libvirt refuses it
  if (std::ranges::count_if(plan.ips, [](const IpPlan& ip) { return !ip.ranges.empty(); }) > 1) {
    return fail(Code::kInvalid, "network " + network.id + " has more than one IPv4 subnet with DHCP, and a host network can serve one",
                "switch DHCP off (enable_dhcp = false) for all but one of its subnets");
  }
  if (!dhcp_prefix(plan)) plan.hosts_dir.clear();
  return plan;
}

std::string network_xml(const NetworkPlan& plan) {
  pugi::xml_document document;
  auto root = document.append_child("network");
  root.append_attribute("xmlns:dnsmasq") = "http://libvirt.org/schemas/network/dnsmasq/1.0";
  root.append_child("name").text() = plan.name.c_str();
  root.append_child("uuid").text() = plan.uuid.c_str();
  if (plan.nat) {
    auto forward = root.append_child("forward");
    forward.append_attribute("mode") = "nat";
    if (std::ranges::any_of(prefixes_of(plan), [](const Prefix& prefix) { return prefix.address.version == 6; })) {
      forward.append_child("nat").append_attribute("ipv6") = "yes";
    }
  }
  auto bridge = root.append_child("bridge");
  bridge.append_attribute("name") = plan.bridge.c_str();
  bridge.append_attribute("stp") = "off";
  bridge.append_attribute("delay") = "0";
  root.append_child("mtu").append_attribute("size") = plan.mtu;
  auto domain = root.append_child("domain");
  domain.append_attribute("name") = plan.domain.c_str();
  domain.append_attribute("localOnly") = "yes";
  if (!plan.forwarders.empty()) {
    auto dns = root.append_child("dns");
    for (const auto& server : plan.forwarders) dns.append_child("forwarder").append_attribute("addr") = server.c_str();
  }
  for (const auto& ip : plan.ips) append_ip(root, ip);
  if (!plan.hosts_dir.empty()) {
    root.append_child("dnsmasq:options").append_child("dnsmasq:option").append_attribute("value") =
        (std::string(kHostsDir) + plan.hosts_dir).c_str();
  }
  return print(root);
}

Result<NetworkPlan> read_network_xml(const std::string& xml) {
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size());
  const auto root = document.child("network");
  if (!parsed || !root) return fail(Code::kExternal, "libvirt's network XML cannot be read");
  NetworkPlan plan;
  plan.uuid = root.child_value("uuid");
  plan.name = root.child_value("name");
  plan.bridge = root.child("bridge").attribute("name").value();
  plan.nat = std::string_view(root.child("forward").attribute("mode").value()) == "nat";
  plan.mtu = root.child("mtu").attribute("size").as_llong();
  plan.domain = root.child("domain").attribute("name").value();
  for (const auto server : root.child("dns").children("forwarder")) plan.forwarders.push_back(canonical(server.attribute("addr").value()));
  for (const auto node : root.children("ip")) {
    IpPlan ip{.address = canonical(node.attribute("address").value()), .prefix = prefix_of(node), .ranges = {}};
    for (const auto range : node.child("dhcp").children("range")) {
      ip.ranges.push_back({canonical(range.attribute("start").value()), canonical(range.attribute("end").value())});
    }
    plan.ips.push_back(std::move(ip));
  }
  for (const auto option : root.child("dnsmasq:options").children("dnsmasq:option")) {
    const std::string_view value = option.attribute("value").value();
    if (value.starts_with(kHostsDir)) plan.hosts_dir = value.substr(kHostsDir.size());
  }
  return plan;
}

std::vector<Prefix> prefixes_of(const NetworkPlan& plan) {
  std::vector<Prefix> prefixes;
  for (const auto& ip : plan.ips) {
    if (const auto address = parse_address(ip.address)) prefixes.push_back({*address, ip.prefix});
  }
  return prefixes;
}

std::optional<Prefix> dhcp_prefix(const NetworkPlan& plan) {
  for (const auto& ip : plan.ips) {
    const auto address = parse_address(ip.address);
    if (!ip.ranges.empty() && address) return Prefix{*address, ip.prefix};
  }
  return std::nullopt;
}

}  // namespace ca::net
