#include "agent/metadata/network_data.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace ca {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct Address {
  const Subnet* subnet;
  const FixedIp* ip;
};

template <typename T>
Result<const T*> find_by_id(const std::vector<T>& all, const Uuid& id, std::string_view what, const Port& port) {
  const auto found = std::ranges::find(all, id, &T::id);
  if (found == all.end()) return fail(Code::kInvalid, fmt::format("port {} names {} {}, which is not known", port.id, what, id));
  return &*found;
}

// nova shows the first IPv4 and the first IPv6 address of a port.
Result<std::vector<Address>> shown_addresses(const MetadataInput& input, const Port& port) {
  std::vector<Address> addresses;
  for (const int version : {4, 6}) {
    for (const FixedIp& ip : port.fixed_ips) {
      CA_TRY(const Subnet* subnet, find_by_id(input.subnets, ip.subnet_id, "subnet", port));
      if (subnet->ip_version != version) continue;
      addresses.push_back({subnet, &ip});
      break;
    }
  }
  return addresses;
}

// "255.255.255.0", "ffff:ffff:ffff:ffff::".
Result<std::string> netmask(const Subnet& subnet) {
  const auto refuse = [&] { return fail(Code::kInvalid, fmt::format("subnet {} has CIDR '{:.80}'", subnet.id, subnet.cidr)); };
  const bool v4 = subnet.ip_version == 4;
  const auto slash = subnet.cidr.find('/');
  if (slash == std::string::npos) return refuse();
  int length = -1;
  const char* end = subnet.cidr.data() + subnet.cidr.size();
  const auto [last, error] = std::from_chars(subnet.cidr.data() + slash + 1, end, length);
  if (error != std::errc{} || last != end || length < 0 || length > (v4 ? 32 : 128)) return refuse();
  std::array<unsigned char, 16> bits{};
  for (int bit = 0; bit < length; ++bit) bits[static_cast<std::size_t>(bit / 8)] |= static_cast<unsigned char>(0x80 >> (bit % 8));
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_ntop(v4 ? AF_INET : AF_INET6, bits.data(), text.data(), text.size()) == nullptr) return refuse();
  return std::string(text.data());
}

OrderedJson dns_services(const Subnet& subnet) {
  OrderedJson services = OrderedJson::array();
  for (const std::string& server : subnet.dns_nameservers) services.push_back({{"type", "dns"}, {"address", server}});
  return services;
}

Result<OrderedJson> network_entry(const Address& address, const Port& port, std::size_t number) {
  const Subnet& subnet = *address.subnet;
  const std::string id = fmt::format("network{}", number);
  const std::string link = tap_name(port.id);
  if (subnet.enable_dhcp) {
    return OrderedJson{{"id", id}, {"type", fmt::format("ipv{}_dhcp", subnet.ip_version)}, {"link", link}, {"network_id", port.network_id}};
  }
  CA_TRY(const std::string mask, netmask(subnet));
  OrderedJson routes = OrderedJson::array();
  if (!subnet.gateway_ip.empty()) {
    const char* any = subnet.ip_version == 4 ? "0.0.0.0" : "::";
    routes.push_back({{"network", any}, {"netmask", any}, {"gateway", subnet.gateway_ip}});
  }
  return OrderedJson{{"id", id},
                     {"type", fmt::format("ipv{}", subnet.ip_version)},
                     {"link", link},
                     {"ip_address", address.ip->ip_address},
                     {"netmask", mask},
                     {"routes", routes},
                     {"network_id", port.network_id},
                     {"services", dns_services(subnet)}};
}

}  // namespace

Result<OrderedJson> network_data(const MetadataInput& input) {
  if (input.ports.empty()) return OrderedJson::object();
  OrderedJson links = OrderedJson::array(), networks = OrderedJson::array(), services = OrderedJson::array();
  for (const Port& port : input.ports) {
    CA_TRY(const std::vector<Address> addresses, shown_addresses(input, port));
    if (addresses.empty()) continue;
    CA_TRY(const Network* network, find_by_id(input.networks, port.network_id, "network", port));
    // Where DHCP tells the MTU, nova leaves it open.
    const bool dhcp = std::ranges::any_of(addresses, [](const Address& a) { return a.subnet->enable_dhcp; });
    links.push_back({{"id", tap_name(port.id)},
                     {"vif_id", port.id},
                     {"type", "bridge"},
                     {"mtu", dhcp ? OrderedJson(nullptr) : OrderedJson(network->mtu)},
                     {"ethernet_mac_address", port.mac_address}});
    for (const Address& address : addresses) {
      CA_TRY(OrderedJson entry, network_entry(address, port, networks.size()));
      networks.push_back(std::move(entry));
      for (const OrderedJson& service : dns_services(*address.subnet)) {
        if (std::ranges::find(services, service) == services.end()) services.push_back(service);
      }
    }
  }
  return OrderedJson{{"links", links}, {"networks", networks}, {"services", services}};
}

}  // namespace ca
