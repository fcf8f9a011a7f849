#include "agent/api/compute/server_view.h"

#include "agent/api/api_services.h"
#include "agent/core/clock.h"

namespace ca {
namespace {

Json links(const Uuid& uuid) {
  return Json::array({{{"rel", "self"}, {"href", "/compute/v2.1/servers/" + uuid}}, {{"rel", "bookmark"}, {"href", "/compute/servers/" + uuid}}});
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json addresses(const Instance& instance, const ServerViewContext& context) {
  Json all = Json::object();
  for (const Uuid& id : instance.port_ids) {
    const auto port = context.ports.find(id);
    if (port == context.ports.end()) continue;
    const auto network = context.networks.find(port->second->network_id);
    const std::string name = network == context.networks.end() ? port->second->network_id : network->second->name;
    for (const FixedIp& ip : port->second->fixed_ips) {
      all[name].push_back({{"addr", ip.ip_address},
                           {"version", ip.ip_address.find(':') == std::string::npos ? 4 : 6},
                           {"OS-EXT-IPS:type", "fixed"},
                           {"OS-EXT-IPS-MAC:mac_addr", port->second->mac_address}});
    }
  }
  return all;
}

Json fault_view(const Fault& fault) {
  Json view{{"code", http_status(fault.code)}, {"message", fault.message}, {"created", iso_seconds(fault.created_us)}};
  std::string details;
  for (const std::string& cause : fault.causes) details += (details.empty() ? "" : ": ") + cause;
  view["details"] = details;
  view["agent_code"] = to_string(fault.code);
  view["step"] = fault.step;
  view["causes"] = fault.causes;
  view["next_action"] = fault.next_action;
  return view;
}

Json flavor_view(const Flavor& f) {
  return {{"original_name", f.name}, {"vcpus", f.vcpus},          {"ram", f.memory_mib},
          {"disk", f.root_gib},      {"ephemeral", f.ephemeral_gib}, {"swap", f.swap_mib},
          {"extra_specs", f.extra_specs}};
}

}  // namespace

ServerViewContext server_view_context(const Store& store) {
  ServerViewContext context;
  for (auto& port : store.all<Port>()) context.ports.emplace(port->id, port);
  for (auto& network : store.all<Network>()) context.networks.emplace(network->id, network);
  return context;
}

Json server_brief(const Instance& instance) {
  return {{"id", instance.uuid}, {"name", instance.name}, {"links", links(instance.uuid)}};
}

Json server_view(const Instance& i, const ServerViewContext& context, const std::string&) {
  Json view{{"id", i.uuid},
            {"name", i.name},
            {"status", api_status(i.vm_state, i.task_state)},
            {"tenant_id", i.project_id},
            {"user_id", i.user_id},
            {"metadata", i.metadata},
            {"hostId", i.host},
            {"image", i.image.id.empty() ? Json("") : Json{{"id", i.image.id}}},
            {"flavor", flavor_view(i.flavor)},
            {"created", iso_seconds(i.created_us)},
            {"updated", iso_seconds(i.updated_us)},
            {"addresses", addresses(i, context)},
            {"accessIPv4", ""},
            {"accessIPv6", ""},
            {"links", links(i.uuid)},
            {"OS-DCF:diskConfig", "MANUAL"},
            {"progress", i.vm_state == VmState::kBuilding ? 0 : 100},
            {"OS-EXT-AZ:availability_zone", i.availability_zone},
            {"config_drive", i.config_drive ? "True" : ""},
            {"key_name", or_null(i.key_name)},
            {"OS-SRV-USG:launched_at", i.launched_us == 0 ? Json(nullptr) : Json(iso_micros(i.launched_us))},
            {"OS-SRV-USG:terminated_at", i.terminated_us == 0 ? Json(nullptr) : Json(iso_micros(i.terminated_us))},
            {"security_groups", Json::array()},
            {"OS-EXT-SRV-ATTR:host", or_null(i.host)},
            {"OS-EXT-SRV-ATTR:hypervisor_hostname", or_null(i.host)},
            {"OS-EXT-SRV-ATTR:instance_name", i.domain()},
            {"OS-EXT-SRV-ATTR:hostname", i.hostname},
            {"OS-EXT-SRV-ATTR:reservation_id", i.reservation_id},
            {"OS-EXT-SRV-ATTR:launch_index", i.launch_index},
            {"OS-EXT-SRV-ATTR:root_device_name", "/dev/vda"},
            {"OS-EXT-SRV-ATTR:user_data", or_null(i.user_data)},
            {"OS-EXT-STS:task_state", or_null(std::string(to_string(i.task_state)))},
            {"OS-EXT-STS:vm_state", to_string(i.vm_state)},
            {"OS-EXT-STS:power_state", static_cast<int>(i.power_state)},
            {"os-extended-volumes:volumes_attached", Json::array()},
            {"host_status", "UP"},
            {"locked", i.locked},
            {"locked_reason", nullptr},
            {"description", nullptr},
            {"tags", i.tags},
            {"trusted_image_certificates", nullptr},
            {"server_groups", Json::array()}};
  if (i.fault && i.vm_state == VmState::kError) view["fault"] = fault_view(*i.fault);
  return view;
}

}  // namespace ca
