#include "agent/core/records_json.h"

#include "agent/core/json_reader.h"

namespace ca {
namespace {

Result<DiskFormat> parse_format(const std::string& text) { return disk_format_from(text); }

Json range_json(const AddressRange& range) { return {{"start", range.start}, {"end", range.end}}; }

Result<AddressRange> range_from(const Json& json) {
  AddressRange range;
  return Reader(json, "allocation_pool").get("start", range.start).get("end", range.end).done(range);
}

Json ip_json(const FixedIp& ip) { return {{"subnet_id", ip.subnet_id}, {"ip_address", ip.ip_address}}; }

Result<FixedIp> ip_from(const Json& json) {
  FixedIp ip;
  return Reader(json, "fixed_ip").get("subnet_id", ip.subnet_id).get("ip_address", ip.ip_address).done(ip);
}

}  // namespace

Json to_json(const Flavor& f) {
  return {{"id", f.id},
          {"name", f.name},
          {"vcpus", f.vcpus},
          {"memory_mib", f.memory_mib},
          {"root_gib", f.root_gib},
          {"ephemeral_gib", f.ephemeral_gib},
          {"swap_mib", f.swap_mib},
          {"rxtx_factor", f.rxtx_factor},
          {"is_public", f.is_public},
          {"description", f.description},
          {"extra_specs", f.extra_specs}};
}

Result<Flavor> flavor_from_json(const Json& json) {
  Flavor f;
  Reader reader(json, "flavor");
  reader.get("id", f.id)
      .get("name", f.name)
      .get("vcpus", f.vcpus)
      .get("memory_mib", f.memory_mib)
      .get("root_gib", f.root_gib)
      .get("ephemeral_gib", f.ephemeral_gib)
      .get("swap_mib", f.swap_mib)
      .get("rxtx_factor", f.rxtx_factor)
      .get("is_public", f.is_public)
      .get("description", f.description)
      .get("extra_specs", f.extra_specs);
  return reader.done(std::move(f));
}

Json to_json(const ImageMeta& i) {
  return {{"id", i.id},
          {"name", i.name},
          {"status", to_string(i.status)},
          {"disk_format", to_string(i.disk_format)},
          {"container_format", i.container_format},
          {"size_bytes", i.size_bytes},
          {"virtual_size_bytes", i.virtual_size_bytes},
          {"min_disk_gib", i.min_disk_gib},
          {"min_ram_mib", i.min_ram_mib},
          {"visibility", i.visibility},
          {"protected", i.is_protected},
          {"hidden", i.hidden},
          {"checksum", i.checksum},
          {"os_hash_algo", i.os_hash_algo},
          {"os_hash_value", i.os_hash_value},
          {"location", i.location},
          {"owner", i.owner},
          {"tags", i.tags},
          {"properties", i.properties},
          {"created_us", i.created_us},
          {"updated_us", i.updated_us}};
}

Result<ImageMeta> image_from_json(const Json& json) {
  ImageMeta i;
  Reader reader(json, "image");
  reader.get("id", i.id)
      .get("name", i.name)
      .parsed("status", i.status, parser({ImageStatus::kQueued, ImageStatus::kSaving, ImageStatus::kActive, ImageStatus::kDeleted}))
      .parsed("disk_format", i.disk_format, parse_format)
      .get("container_format", i.container_format)
      .get("size_bytes", i.size_bytes)
      .get("virtual_size_bytes", i.virtual_size_bytes)
      .get("min_disk_gib", i.min_disk_gib)
      .get("min_ram_mib", i.min_ram_mib)
      .get("visibility", i.visibility)
      .get("protected", i.is_protected)
      .get("hidden", i.hidden)
      .get("checksum", i.checksum)
      .get("os_hash_algo", i.os_hash_algo)
      .get("os_hash_value", i.os_hash_value)
      .get("location", i.location)
      .get("owner", i.owner)
      .get("tags", i.tags)
      .get("properties", i.properties)
      .get("created_us", i.created_us)
      .get("updated_us", i.updated_us);
  return reader.done(std::move(i));
}

Json to_json(const Network& n) {
  return {{"id", n.id},
          {"name", n.name},
          {"project_id", n.project_id},
          {"kind", to_string(n.kind)},
          {"bridge", n.bridge},
          {"mtu", n.mtu},
          {"admin_state_up", n.admin_state_up},
          {"shared", n.shared},
          {"external", n.external},
          {"description", n.description},
          {"created_us", n.created_us},
          {"updated_us", n.updated_us}};
}

Result<Network> network_from_json(const Json& json) {
  Network n;
  Reader reader(json, "network");
  reader.get("id", n.id)
      .get("name", n.name)
      .get("project_id", n.project_id)
      .parsed("kind", n.kind, parser({NetworkKind::kNat, NetworkKind::kIsolated, NetworkKind::kBridge}))
      .get("bridge", n.bridge)
      .get("mtu", n.mtu)
      .get("admin_state_up", n.admin_state_up)
      .get("shared", n.shared)
      .get("external", n.external)
      .get("description", n.description)
      .get("created_us", n.created_us)
      .get("updated_us", n.updated_us);
  return reader.done(std::move(n));
}

Json to_json(const Subnet& s) {
  return {{"id", s.id},
          {"name", s.name},
          {"network_id", s.network_id},
          {"project_id", s.project_id},
          {"ip_version", s.ip_version},
          {"cidr", s.cidr},
          {"gateway_ip", s.gateway_ip},
          {"enable_dhcp", s.enable_dhcp},
          {"allocation_pools", list_json(s.allocation_pools, range_json)},
          {"dns_nameservers", s.dns_nameservers},
          {"description", s.description},
          {"created_us", s.created_us},
          {"updated_us", s.updated_us}};
}

Result<Subnet> subnet_from_json(const Json& json) {
  Subnet s;
  Reader reader(json, "subnet");
  reader.get("id", s.id)
      .get("name", s.name)
      .get("network_id", s.network_id)
      .get("project_id", s.project_id)
      .get("ip_version", s.ip_version)
      .get("cidr", s.cidr)
      .get("gateway_ip", s.gateway_ip)
      .get("enable_dhcp", s.enable_dhcp)
      .list("allocation_pools", s.allocation_pools, range_from)
      .get("dns_nameservers", s.dns_nameservers)
      .get("description", s.description)
      .get("created_us", s.created_us)
      .get("updated_us", s.updated_us);
  return reader.done(std::move(s));
}

Json to_json(const Port& p) {
  return {{"id", p.id},
          {"name", p.name},
          {"network_id", p.network_id},
          {"project_id", p.project_id},
          {"device_id", p.device_id},
          {"device_owner", p.device_owner},
          {"host", p.host},
          {"mac_address", p.mac_address},
          {"fixed_ips", list_json(p.fixed_ips, ip_json)},
          {"status", p.status},
          {"admin_state_up", p.admin_state_up},
          {"created_us", p.created_us},
          {"updated_us", p.updated_us}};
}

Result<Port> port_from_json(const Json& json) {
  Port p;
  Reader reader(json, "port");
  reader.get("id", p.id)
      .get("name", p.name)
      .get("network_id", p.network_id)
      .get("project_id", p.project_id)
      .get("device_id", p.device_id)
      .get("device_owner", p.device_owner)
      .get("host", p.host)
      .get("mac_address", p.mac_address)
      .list("fixed_ips", p.fixed_ips, ip_from)
      .get("status", p.status)
      .get("admin_state_up", p.admin_state_up)
      .get("created_us", p.created_us)
      .get("updated_us", p.updated_us);
  return reader.done(std::move(p));
}

Json to_json(const Keypair& k) {
  return {{"name", k.name},
          {"type", k.type},
          {"public_key", k.public_key},
          {"fingerprint", k.fingerprint},
          {"user_id", k.user_id},
          {"created_us", k.created_us}};
}

Result<Keypair> keypair_from_json(const Json& json) {
  Keypair k;
  Reader reader(json, "keypair");
  reader.get("name", k.name)
      .get("type", k.type)
      .get("public_key", k.public_key)
      .get("fingerprint", k.fingerprint)
      .get("user_id", k.user_id)
      .get("created_us", k.created_us);
  return reader.done(std::move(k));
}

Json to_json(const Service& s) {
  return {{"host", s.host},
          {"disabled", s.disabled},
          {"disabled_reason", s.disabled_reason},
          {"forced_down", s.forced_down},
          {"updated_us", s.updated_us}};
}

Result<Service> service_from_json(const Json& json) {
  Service s;
  Reader reader(json, "service");
  reader.get("host", s.host)
      .get("disabled", s.disabled)
      .get("disabled_reason", s.disabled_reason)
      .get("forced_down", s.forced_down)
      .get("updated_us", s.updated_us);
  return reader.done(std::move(s));
}

Json to_json(const Fault& f) {
  return {{"code", to_string(f.code)}, {"step", f.step}, {"message", f.message}, {"causes", f.causes}, {"next_action", f.next_action},
          {"created_us", f.created_us}};
}

Result<Fault> fault_from_json(const Json& json) {
  Fault f;
  Reader reader(json, "fault");
  reader
      .parsed("code", f.code,
              parser({Code::kInvalid, Code::kUnauthorized, Code::kForbidden, Code::kNotFound, Code::kConflict, Code::kTooLarge,
                      Code::kNoResources, Code::kUnsafe, Code::kTimeout, Code::kUnavailable, Code::kNoSpace, Code::kIo, Code::kCancelled,
                      Code::kExternal, Code::kInternal}))
      .get("step", f.step)
      .get("message", f.message)
      .get("causes", f.causes)
      .get("next_action", f.next_action)
      .get("created_us", f.created_us);
  return reader.done(std::move(f));
}

}  // namespace ca
