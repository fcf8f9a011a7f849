#include <fmt/format.h>

#include <algorithm>

#include "agent/api/api_services.h"
#include "agent/core/clock.h"
#include "agent/core/ids.h"
#include "agent/resources/addresses.h"

namespace ca {
namespace {

Json network_view(const Network& n, const std::vector<std::string>& subnets) {
  return {{"id", n.id},
          {"name", n.name},
          {"status", "ACTIVE"},
          {"admin_state_up", n.admin_state_up},
          {"shared", n.shared},
          {"router:external", n.external},
          {"mtu", n.mtu},
          {"subnets", subnets},
          {"project_id", n.project_id},
          {"tenant_id", n.project_id},
          {"provider:network_type", to_string(n.kind)},
          {"provider:physical_network", n.kind == NetworkKind::kBridge ? Json(n.bridge) : Json(nullptr)},
          {"provider:segmentation_id", nullptr},
          {"bridge", n.bridge},
          {"port_security_enabled", false},
          {"availability_zone_hints", Json::array()},
          {"availability_zones", Json::array()},
          {"description", n.description},
          {"is_default", nullptr},
          {"dns_domain", ""},
          {"qos_policy_id", nullptr},
          {"ipv4_address_scope", nullptr},
          {"ipv6_address_scope", nullptr},
          {"revision_number", 1},
          {"tags", Json::array()},
          {"created_at", iso_seconds(n.created_us)},
          {"updated_at", iso_seconds(n.updated_us)}};
}

std::vector<std::string> subnet_ids(ApiServices& s, const Uuid& network) {
  std::vector<std::string> ids;
  for (const auto& subnet : s.verbs.store.all<Subnet>()) {
    if (subnet->network_id == network) ids.push_back(subnet->id);
  }
  return ids;
}

Result<ApiResponse> create_network(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "network_create"));
  const Json& given = body.at("network");
  Network n;
  n.id = new_uuid();
  n.name = given.value("name", "");
  n.project_id = kProjectId;
  n.admin_state_up = given.value("admin_state_up", true);
  n.shared = given.value("shared", false);
  n.external = given.value("router:external", false);
  n.mtu = given.value("mtu", std::int64_t{1500});
  n.description = given.value("description", "");
  const std::string kind = given.value("provider:network_type", "nat");
  n.kind = kind == "bridge" ? NetworkKind::kBridge : kind == "isolated" ? NetworkKind::kIsolated : NetworkKind::kNat;
  const std::string physical = given.value("provider:physical_network", "");
  if ((n.kind == NetworkKind::kBridge) != !physical.empty()) {
    return fail(Code::kInvalid, "provider:physical_network names the host's bridge and goes with provider:network_type bridge only");
  }
  n.bridge = n.kind == NetworkKind::kBridge ? physical : s.verbs.networks.bridge_for(n);
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    n.created_us = n.updated_us = tx.now_us();
    return tx.put(n);
  }));
  ApiResponse response;
  response.status = 201;
  response.body = Json{{"network", network_view(n, {})}};
  return response;
}

// Removing host networking is I/O: it runs on a worker, after the record is gone (nothing can start to use it any more).
void delete_network(ApiServices& s, const ApiRequest& request, const Reply& reply) {
  const auto network = s.verbs.store.get<Network>(request.param("id"));
  if (!network) {
    reply(fail(Code::kNotFound, fmt::format("Network {} could not be found.", request.param("id")),
               "`computectl network list` shows the networks"));
    return;
  }
  const Network doomed = *network;
  s.workers.submit([&s, doomed, reply](TaskLease& lease) {
    constexpr std::chrono::seconds kLimit{60};
    lease.rearm(kLimit, [reply] { reply(fail(Code::kTimeout, "removing the host's network did not end in time")); });
    auto done = s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
      CA_TRY(const auto ports, tx.all<Port>());
      for (const Port& port : ports) {
        if (port.network_id != doomed.id) continue;
        return fail(
            Code::kConflict,
            fmt::format("Unable to complete operation on network {}. There are one or more ports still in use on the network.", doomed.id),
            fmt::format("delete instance {} or port {} first", port.device_id, port.id));
      }
      CA_TRY(const auto subnets, tx.all<Subnet>());
      for (const Subnet& subnet : subnets) {
        if (subnet.network_id == doomed.id) CA_TRY_VOID(tx.erase<Subnet>(subnet.id));
      }
      return tx.erase<Network>(doomed.id);
    });
    if (done) done = s.verbs.networks.remove(doomed);
    if (!lease.rearm(kLimit, [] {})) return;
    if (!done) {
      reply(tl::unexpected<Error>(std::move(done).error()));
      return;
    }
    ApiResponse response;
    response.status = 204;
    reply(std::move(response));
  });
}

Json port_view(const Port& p) {
  Json ips = Json::array();
  for (const FixedIp& ip : p.fixed_ips) ips.push_back({{"subnet_id", ip.subnet_id}, {"ip_address", ip.ip_address}});
  return {{"id", p.id},
          {"name", p.name},
          {"network_id", p.network_id},
          {"project_id", p.project_id},
          {"tenant_id", p.project_id},
          {"device_id", p.device_id},
          {"device_owner", p.device_owner},
          {"mac_address", p.mac_address},
          {"fixed_ips", ips},
          {"status", p.status},
          {"admin_state_up", p.admin_state_up},
          {"binding:host_id", p.host},
          {"binding:vif_type", "bridge"},
          {"binding:vnic_type", "normal"},
          {"security_groups", Json::array()},
          {"allowed_address_pairs", Json::array()},
          {"port_security_enabled", false},
          {"created_at", iso_seconds(p.created_us)},
          {"updated_at", iso_seconds(p.updated_us)}};
}

}  // namespace

void add_network_routes(Router& router, ApiServices& s) {
  const std::string base = "/network/v2.0";
  router.add("GET", base + "/networks", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const std::string name = r.query_or("name", ""), id = r.query_or("id", "");
    Json list = Json::array();
    for (const auto& n : s.verbs.store.all<Network>()) {
      if ((name.empty() || n->name == name) && (id.empty() || n->id == id)) list.push_back(network_view(*n, subnet_ids(s, n->id)));
    }
    ApiResponse response;
    response.body = Json{{"networks", std::move(list)}};
    return response;
  });
  router.add("POST", base + "/networks", [&s](const ApiRequest& r) { return create_network(s, r); });
  router.add("GET", base + "/networks/{id}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const auto n = s.verbs.store.get<Network>(r.param("id"));
    if (!n)
      return fail(Code::kNotFound, fmt::format("Network {} could not be found.", r.param("id")),
                  "`computectl network list` shows the networks");
    ApiResponse response;
    response.body = Json{{"network", network_view(*n, subnet_ids(s, n->id))}};
    return response;
  });
  router.add_async("DELETE", base + "/networks/{id}", [&s](const ApiRequest& r, const Reply& reply) { delete_network(s, r, reply); });
  router.add("GET", base + "/ports", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const std::string device = r.query_or("device_id", ""), network = r.query_or("network_id", "");
    Json list = Json::array();
    for (const auto& p : s.verbs.store.all<Port>()) {
      if ((device.empty() || p->device_id == device) && (network.empty() || p->network_id == network)) list.push_back(port_view(*p));
    }
    ApiResponse response;
    response.body = Json{{"ports", std::move(list)}};
    return response;
  });
  router.add("GET", base + "/ports/{id}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const auto p = s.verbs.store.get<Port>(r.param("id"));
    if (!p) return fail(Code::kNotFound, fmt::format("Port {} could not be found.", r.param("id")));
    ApiResponse response;
    response.body = Json{{"port", port_view(*p)}};
    return response;
  });
}

}  // namespace ca
