#include <fmt/format.h>

#include "agent/api/api_services.h"
#include "agent/core/clock.h"
#include "agent/core/ids.h"
#include "agent/resources/addresses.h"

namespace ca {
namespace {

Json subnet_view(const Subnet& s) {
  Json pools = Json::array();
  for (const AddressRange& pool : s.allocation_pools) pools.push_back({{"start", pool.start}, {"end", pool.end}});
  return {{"id", s.id},
          {"name", s.name},
          {"network_id", s.network_id},
          {"project_id", s.project_id},
          {"tenant_id", s.project_id},
          {"ip_version", s.ip_version},
          {"cidr", s.cidr},
          {"gateway_ip", s.gateway_ip.empty() ? Json(nullptr) : Json(s.gateway_ip)},
          {"enable_dhcp", s.enable_dhcp},
          {"allocation_pools", std::move(pools)},
          {"dns_nameservers", s.dns_nameservers},
          {"host_routes", Json::array()},
          {"description", s.description},
          {"ipv6_address_mode", nullptr},
          {"ipv6_ra_mode", nullptr},
          {"subnetpool_id", nullptr},
          {"segment_id", nullptr},
          {"service_types", Json::array()},
          {"tags", Json::array()},
          {"revision_number", 0},
          {"created_at", iso_seconds(s.created_us)},
          {"updated_at", iso_seconds(s.updated_us)}};
}

Result<Subnet> subnet_from(const Json& given) {
  Subnet subnet;
  subnet.id = new_uuid();
  subnet.name = given.value("name", "");
  subnet.network_id = given.at("network_id");
  subnet.project_id = kProjectId;
  subnet.cidr = given.at("cidr");
  CA_TRY(const IpPrefix prefix, parse_cidr(subnet.cidr));
  subnet.ip_version = given.value("ip_version", prefix.network.v4 ? 4 : 6);
  subnet.enable_dhcp = given.value("enable_dhcp", true);
  subnet.description = given.value("description", "");
  if (given.contains("dns_nameservers")) subnet.dns_nameservers = given.at("dns_nameservers").get<std::vector<std::string>>();
  for (const Json& pool : given.value("allocation_pools", Json::array()))
    subnet.allocation_pools.push_back({pool.at("start"), pool.at("end")});
  const auto gateway = given.find("gateway_ip");
  if (gateway != given.end() && gateway->is_string()) subnet.gateway_ip = *gateway;
  CA_TRY_VOID(complete_subnet(subnet, gateway != given.end()));
  return subnet;
}

Result<ApiResponse> create_subnet(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "subnet_create"));
  CA_TRY(Subnet subnet, subnet_from(body.at("subnet")));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    if (!tx.get<Network>(subnet.network_id)) return fail(Code::kNotFound, fmt::format("Network {} could not be found.", subnet.network_id));
    CA_TRY(const auto others, tx.all<Subnet>());
    CA_TRY(const IpPrefix mine, parse_cidr(subnet.cidr));
    for (const Subnet& other : others) {
      CA_TRY(const IpPrefix theirs, parse_cidr(other.cidr));
      if (!overlap(mine, theirs)) continue;
      return fail(Code::kInvalid,
                  fmt::format("Invalid input for operation: Requested subnet with cidr: {} for network: {} overlaps with another subnet "
                              "({} {} of network {})",
                              subnet.cidr, subnet.network_id, other.id, other.cidr, other.network_id),
                  "choose a range that no subnet of this host uses");
    }
    subnet.created_us = subnet.updated_us = tx.now_us();
    return tx.put(subnet);
  }));
  ApiResponse response;
  response.status = 201;
  response.body = Json{{"subnet", subnet_view(subnet)}};
  return response;
}

Result<ApiResponse> delete_subnet(ApiServices& s, const ApiRequest& request) {
  const Uuid id = request.param("id");
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    if (!tx.get<Subnet>(id))
      return fail(Code::kNotFound, fmt::format("Subnet {} could not be found.", id), "`computectl subnet list` shows the subnets");
    CA_TRY(const auto ports, tx.all<Port>());
    for (const Port& port : ports) {
      for (const FixedIp& ip : port.fixed_ips) {
        if (ip.subnet_id != id) continue;
        return fail(Code::kConflict,
                    fmt::format("Unable to complete operation on subnet {}: One or more ports have an IP allocation from this subnet.", id),
                    fmt::format("delete instance {} first", port.device_id));
      }
    }
    return tx.erase<Subnet>(id);
  }));
  ApiResponse response;
  response.status = 204;
  return response;
}

}  // namespace

void add_subnet_routes(Router& router, ApiServices& s) {
  const std::string base = "/network/v2.0/subnets";
  router.add("GET", base, [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const std::string name = r.query_or("name", ""), network = r.query_or("network_id", "");
    Json list = Json::array();
    for (const auto& subnet : s.verbs.store.all<Subnet>()) {
      if ((name.empty() || subnet->name == name) && (network.empty() || subnet->network_id == network))
        list.push_back(subnet_view(*subnet));
    }
    ApiResponse response;
    response.body = Json{{"subnets", std::move(list)}};
    return response;
  });
  router.add("POST", base, [&s](const ApiRequest& r) { return create_subnet(s, r); });
  router.add("GET", base + "/{id}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const auto subnet = s.verbs.store.get<Subnet>(r.param("id"));
    if (!subnet)
      return fail(Code::kNotFound, fmt::format("Subnet {} could not be found.", r.param("id")),
                  "`computectl subnet list` shows the subnets");
    ApiResponse response;
    response.body = Json{{"subnet", subnet_view(*subnet)}};
    return response;
  });
  router.add("DELETE", base + "/{id}", [&s](const ApiRequest& r) { return delete_subnet(s, r); });
}

}  // namespace ca
