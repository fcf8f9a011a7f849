#include "agent/api/compute/server_view.h"

#include "agent/core/clock.h"

namespace ca {
namespace {

void write_time(JsonText& out, std::string_view name, std::int64_t wall_us) {
  out.key(name).value_or_null(wall_us == 0 ? std::string() : iso_micros(wall_us));
}

void write_texts(JsonText& out, std::string_view name, const std::vector<std::string>& texts) {
  out.key(name).begin_array();
  for (const std::string& text : texts) out.value(text);
  out.end_array();
}

void write_properties(JsonText& out, std::string_view name, const Properties& properties) {
  out.key(name).begin_object();
  for (const auto& [property, text] : properties) out.member(property, text);
  out.end_object();
}

void write_address(JsonText& out, const Port& port, const FixedIp& ip) {
  out.begin_object()
      .member("addr", ip.ip_address)
      .member("version", std::int64_t{ip.ip_address.find(':') == std::string::npos ? 4 : 6})
      .member("OS-EXT-IPS:type", "fixed")
      .member("OS-EXT-IPS-MAC:mac_addr", port.mac_address)
      .end_object();
}

void write_addresses(JsonText& out, const Instance& instance, const ServerViewContext& context) {
  std::map<std::string_view, std::vector<std::pair<const Port*, const FixedIp*>>> by_network;
  for (const Uuid& id : instance.port_ids) {
    const auto port = context.ports.find(id);
    if (port == context.ports.end()) continue;
    const auto network = context.networks.find(port->second->network_id);
    const std::string& name = network == context.networks.end() ? port->second->network_id : network->second->name;
    for (const FixedIp& ip : port->second->fixed_ips) by_network[name].emplace_back(port->second.get(), &ip);
  }
  out.key("addresses").begin_object();
  for (const auto& [name, addresses] : by_network) {
    out.key(name).begin_array();
    for (const auto& [port, ip] : addresses) write_address(out, *port, *ip);
    out.end_array();
  }
  out.end_object();
}

void write_fault(JsonText& out, const Fault& fault) {
  std::string details;
  for (const std::string& cause : fault.causes) details += (details.empty() ? "" : ": ") + cause;
  out.key("fault")
      .begin_object()
      .member("code", std::int64_t{http_status(fault.code)})
      .member("message", fault.message)
      .member("created", iso_seconds(fault.created_us))
      .member("details", details)
      .member("agent_code", to_string(fault.code))
      .member("step", fault.step)
      .member("next_action", fault.next_action);
  write_texts(out, "causes", fault.causes);
  out.end_object();
}

void write_flavor(JsonText& out, const Flavor& f) {
  out.key("flavor")
      .begin_object()
      .member("original_name", f.name)
      .member("vcpus", f.vcpus)
      .member("ram", f.memory_mib)
      .member("disk", f.root_gib)
      .member("ephemeral", f.ephemeral_gib)
      .member("swap", f.swap_mib);
  write_properties(out, "extra_specs", f.extra_specs);
  out.end_object();
}

void write_image(JsonText& out, const ImageMeta& image) {
  out.key("image");
  if (image.id.empty())
    out.value("");
  else
    out.begin_object().member("id", image.id).end_object();
}

void write_volumes(JsonText& out, const Instance& i) {
  out.key("os-extended-volumes:volumes_attached").begin_array();
  for (const BlockDevice& device : i.block_devices) {
    if (device.destination != BlockDestination::kVolume) continue;
    out.begin_object().member("id", device.volume_id).member("delete_on_termination", device.delete_on_termination).end_object();
  }
  out.end_array();
}

void write_attributes(JsonText& out, const Instance& i) {
  out.key("OS-EXT-SRV-ATTR:host").value_or_null(i.host);
  out.key("OS-EXT-SRV-ATTR:hypervisor_hostname").value_or_null(i.host);
  out.member("OS-EXT-SRV-ATTR:instance_name", i.domain());
  out.member("OS-EXT-SRV-ATTR:hostname", i.hostname);
  out.member("OS-EXT-SRV-ATTR:reservation_id", i.reservation_id);
  out.member("OS-EXT-SRV-ATTR:launch_index", i.launch_index);
  out.member("OS-EXT-SRV-ATTR:root_device_name", i.root_device_name.empty() ? "/dev/vda" : i.root_device_name);
  out.key("OS-EXT-SRV-ATTR:user_data").value_or_null(i.user_data);
}

void write_states(JsonText& out, const Instance& i) {
  out.member("status", api_status(i.vm_state, i.task_state));
  out.member("progress", std::int64_t{i.vm_state == VmState::kBuilding ? 0 : 100});
  out.key("OS-EXT-STS:task_state").value_or_null(to_string(i.task_state));
  out.member("OS-EXT-STS:vm_state", to_string(i.vm_state));
  out.member("OS-EXT-STS:power_state", static_cast<std::int64_t>(i.power_state));
  out.member("host_status", "UP");
  out.member("locked", i.locked);
  out.key("locked_reason").value_or_null(i.locked_reason);
  out.key("description").value_or_null(i.description);
}

}  // namespace

ServerViewContext server_view_context(const Store& store) {
  ServerViewContext context;
  for (auto& port : store.all<Port>()) context.ports.emplace(port->id, port);
  for (auto& network : store.all<Network>()) context.networks.emplace(network->id, network);
  return context;
}

void write_server_links(JsonText& out, const Uuid& uuid) {
  out.key("links").begin_array();
  out.begin_object().member("rel", "self").member("href", "/compute/v2.1/servers/" + uuid).end_object();
  out.begin_object().member("rel", "bookmark").member("href", "/compute/servers/" + uuid).end_object();
  out.end_array();
}

void write_server_brief(JsonText& out, const Instance& instance) {
  out.begin_object().member("id", instance.uuid).member("name", instance.name);
  write_server_links(out, instance.uuid);
  out.end_object();
}

void write_server(JsonText& out, const Instance& i, const ServerViewContext& context) {
  out.begin_object().member("id", i.uuid).member("name", i.name).member("tenant_id", i.project_id).member("user_id", i.user_id);
  write_states(out, i);
  write_properties(out, "metadata", i.metadata);
  out.member("hostId", i.host);
  write_image(out, i.image);
  write_flavor(out, i.flavor);
  out.member("created", iso_seconds(i.created_us)).member("updated", iso_seconds(i.updated_us));
  write_addresses(out, i, context);
  out.member("accessIPv4", "").member("accessIPv6", "");
  write_server_links(out, i.uuid);
  out.member("OS-DCF:diskConfig", "MANUAL").member("OS-EXT-AZ:availability_zone", i.availability_zone);
  out.member("config_drive", i.config_drive ? "True" : "");
  out.key("key_name").value_or_null(i.key_name);
  write_time(out, "OS-SRV-USG:launched_at", i.launched_us);
  write_time(out, "OS-SRV-USG:terminated_at", i.terminated_us);
  write_attributes(out, i);
  write_texts(out, "tags", i.tags);
  write_volumes(out, i);
  // What this agent has none of yet.
  for (const char* name : {"security_groups", "server_groups"}) out.key(name).raw("[]");
  out.key("trusted_image_certificates").null();
  if (i.fault && i.vm_state == VmState::kError) write_fault(out, *i.fault);
  out.end_object();
}

}  // namespace ca
