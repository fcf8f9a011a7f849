// The step that gives an instance its ports: records only, so it is one transaction and nothing can be half-made.

#include <fmt/format.h>

#include <algorithm>

#include "agent/resources/addresses.h"
#include "agent/verbs/steps.h"

namespace ca {
namespace {

Result<void> give_addresses(Tx& tx, Port& port, const std::string& wanted) {
  CA_TRY(const auto subnets, tx.all<Subnet>());
  CA_TRY(const auto ports, tx.all<Port>());
  bool any = false;
  bool placed = wanted.empty();
  for (const Subnet& subnet : subnets) {
    if (subnet.network_id != port.network_id) continue;
    std::set<std::string> used;
    for (const Port& other : ports) {
      for (const FixedIp& ip : other.fixed_ips) {
        if (ip.subnet_id == subnet.id) used.insert(ip.ip_address);
      }
    }
    any = true;
    if (!wanted.empty()) {
      CA_TRY(const IpAddress address, parse_address(wanted));
      CA_TRY(const IpPrefix prefix, parse_cidr(subnet.cidr));
      if (!contains(prefix, address)) continue;
      placed = true;
    }
    CA_TRY(std::string address, pick_address(subnet, used, wanted));
    port.fixed_ips.push_back({subnet.id, std::move(address)});
  }
  if (!placed) {
    return fail(Code::kInvalid, fmt::format("address {} is in no subnet of network {}", wanted, port.network_id));
  }
  if (!any && !wanted.empty()) return fail(Code::kInvalid, fmt::format("network {} has no subnet", port.network_id));
  return {};
}

Result<void> make_port(Tx& tx, Instance& record, const Json& request) {
  const Uuid network_id = request.at("network_id").get<std::string>();
  if (auto network = tx.get<Network>(network_id); !network) {
    return fail(Code::kNotFound, fmt::format("Network {} could not be found.", network_id), "`computectl network list` shows the networks");
  }
  Port port;
  port.id = new_uuid();
  port.network_id = network_id;
  port.project_id = record.project_id;
  port.device_id = record.uuid;
  port.device_owner = "compute:" + record.availability_zone;
  port.host = record.host;
  port.created_us = port.updated_us = tx.now_us();
  CA_TRY(const auto ports, tx.all<Port>());
  do {
    port.mac_address = new_mac();
  } while (std::ranges::find(ports, port.mac_address, &Port::mac_address) != ports.end());
  CA_TRY_VOID(give_addresses(tx, port, request.value("fixed_ip", "")));
  CA_TRY_VOID(tx.put(port));
  record.port_ids.push_back(port.id);
  record.own_port_ids.push_back(port.id);
  return {};
}

Result<void> adopt_port(Tx& tx, Instance& record, const Uuid& port_id) {
  auto port = tx.get<Port>(port_id);
  if (!port) return fail(Code::kNotFound, fmt::format("Port {} could not be found.", port_id));
  if (!port->device_id.empty() && port->device_id != record.uuid) {
    return fail(Code::kConflict, fmt::format("Port {} is still in use by instance {}.", port_id, port->device_id));
  }
  port->device_id = record.uuid;
  port->device_owner = "compute:" + record.availability_zone;
  port->host = record.host;
  CA_TRY_VOID(tx.put(*port));
  record.port_ids.push_back(port_id);
  return {};
}

Result<void> release_ports(Tx& tx, Instance& record) {
  for (const Uuid& id : record.port_ids) {
    auto port = tx.get<Port>(id);
    if (!port) continue;
    if (std::ranges::find(record.own_port_ids, id) != record.own_port_ids.end()) {
      CA_TRY_VOID(tx.erase<Port>(id));
      continue;
    }
    port->device_id.clear();
    port->device_owner.clear();
    port->status = "DOWN";
    CA_TRY_VOID(tx.put(*port));
  }
  record.port_ids.clear();
  record.own_port_ids.clear();
  return {};
}

}  // namespace

Step allocate_ports_step(Services&) {
  Step step{.name = "allocate_ports", .limit = std::chrono::seconds(30), .run = {}, .undo = {}, .task = TaskState::kNetworking};
  step.run = [](StepContext& ctx) -> Result<void> {
    const Json requested = ctx.op().args.value("requested_networks", Json::array());
    ctx.on_commit([requested](Tx& tx, Instance& record) -> Result<void> {
      if (!record.port_ids.empty()) return {};
      for (const Json& request : requested) {
        if (request.contains("port_id")) {
          CA_TRY_VOID(adopt_port(tx, record, request.at("port_id").get<std::string>()));
        } else {
          CA_TRY_VOID(make_port(tx, record, request));
        }
      }
      return {};
    });
    return {};
  };
  step.undo = [](StepContext& ctx) -> Result<void> {
    ctx.on_commit(release_ports);
    return {};
  };
  return step;
}

}  // namespace ca
