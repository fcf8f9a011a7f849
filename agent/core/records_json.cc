#include "agent/core/records_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace ca {
namespace {

// Reads members of one object; remembers the first that was missing or of a wrong type.
class Reader {
 public:
  Reader(const Json& json, std::string_view what) : json_(json), what_(what) {
    if (!json.is_object()) error_ = fmt::format("{} is not an object", what);
  }

  template <typename T>
  Reader& get(const char* name, T& into) {
    if (!error_.empty()) return *this;
    const auto member = json_.find(name);
    if (member == json_.end() || member->is_null()) return *this;
    if (!read(*member, into)) error_ = fmt::format("{}.{} has a wrong type or value", what_, name);
    return *this;
  }

  template <typename T, typename Parse>
  Reader& parsed(const char* name, T& into, Parse parse) {
    std::string text;
    get(name, text);
    if (!error_.empty() || text.empty()) return *this;
    auto value = parse(text);
    if (!value) {
      error_ = fmt::format("{}.{}: {}", what_, name, value.error().message);
    } else {
      into = *value;
    }
    return *this;
  }

  template <typename T, typename FromJson>
  Reader& object(const char* name, T& into, FromJson from) {
    if (!error_.empty()) return *this;
    const auto member = json_.find(name);
    if (member == json_.end() || member->is_null()) return *this;
    auto value = from(*member);
    if (!value) {
      error_ = fmt::format("{}.{}: {}", what_, name, value.error().message);
    } else {
      into = *std::move(value);
    }
    return *this;
  }

  template <typename T, typename FromJson>
  Reader& list(const char* name, std::vector<T>& into, FromJson from) {
    if (!error_.empty()) return *this;
    const auto member = json_.find(name);
    if (member == json_.end() || member->is_null()) return *this;
    if (!member->is_array()) {
      error_ = fmt::format("{}.{} is not a list", what_, name);
      return *this;
    }
    into.clear();
    for (const Json& item : *member) {
      auto value = from(item);
      if (!value) {
        error_ = fmt::format("{}.{}: {}", what_, name, value.error().message);
        return *this;
      }
      into.push_back(*std::move(value));
    }
    return *this;
  }

  template <typename T>
  Result<T> done(T value) {
    if (!error_.empty()) return fail(Code::kInvalid, error_);
    return value;
  }

 private:
  static bool read(const Json& json, std::string& into) {
    if (!json.is_string()) return false;
    into = json.get_ref<const std::string&>();
    return true;
  }
  static bool read(const Json& json, std::int64_t& into) {
    if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX) return false;
    if (!json.is_number_integer()) return false;
    into = json.get<std::int64_t>();
    return true;
  }
  static bool read(const Json& json, int& into) {
    std::int64_t wide = 0;
    if (!read(json, wide) || wide < INT32_MIN || wide > INT32_MAX) return false;
    into = static_cast<int>(wide);
    return true;
  }
  static bool read(const Json& json, double& into) {
    if (!json.is_number()) return false;
    into = json.get<double>();
    return true;
  }
  static bool read(const Json& json, bool& into) {
    if (!json.is_boolean()) return false;
    into = json.get<bool>();
    return true;
  }
  static bool read(const Json& json, std::vector<std::string>& into) {
    if (!json.is_array()) return false;
    into.clear();
    for (const Json& item : json) {
      if (!item.is_string()) return false;
      into.push_back(item.get<std::string>());
    }
    return true;
  }
  static bool read(const Json& json, Properties& into) {
    if (!json.is_object()) return false;
    into.clear();
    for (const auto& [key, value] : json.items()) {
      if (!value.is_string()) return false;
      into[key] = value.get<std::string>();
    }
    return true;
  }

  const Json& json_;
  std::string_view what_;
  std::string error_;
};

template <typename Enum>
auto parser(std::initializer_list<Enum> values) {
  std::vector<Enum> all(values);
  return [all](const std::string& text) -> Result<Enum> {
    for (const Enum value : all) {
      if (to_string(value) == text) return value;
    }
    return fail(Code::kInvalid, fmt::format("'{}' is not known", text));
  };
}

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

Result<Claim> claim_from(const Json& json) {
  Claim claim;
  return Reader(json, "claim").get("vcpus", claim.vcpus).get("memory_mib", claim.memory_mib).get("disk_gib", claim.disk_gib).done(claim);
}

template <typename T, typename ToJson>
Json list_json(const std::vector<T>& items, ToJson to) {
  Json all = Json::array();
  for (const T& item : items) all.push_back(to(item));
  return all;
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

Json to_json(const Instance& i) {
  Json json{{"uuid", i.uuid},
            {"number", i.number},
            {"name", i.name},
            {"hostname", i.hostname},
            {"project_id", i.project_id},
            {"user_id", i.user_id},
            {"host", i.host},
            {"availability_zone", i.availability_zone},
            {"flavor", to_json(i.flavor)},
            {"image", to_json(i.image)},
            {"key_name", i.key_name},
            {"key_data", i.key_data},
            {"user_data", i.user_data},
            {"metadata", i.metadata},
            {"tags", i.tags},
            {"config_drive", i.config_drive},
            {"locked", i.locked},
            {"reservation_id", i.reservation_id},
            {"launch_index", i.launch_index},
            {"vm_state", to_string(i.vm_state)},
            {"task_state", to_string(i.task_state)},
            {"power_state", static_cast<int>(i.power_state)},
            {"port_ids", i.port_ids},
            {"own_port_ids", i.own_port_ids},
            {"generation", i.generation},
            {"created_us", i.created_us},
            {"updated_us", i.updated_us},
            {"launched_us", i.launched_us},
            {"terminated_us", i.terminated_us}};
  if (i.claim) {
    json["claim"] = {{"vcpus", i.claim->vcpus}, {"memory_mib", i.claim->memory_mib}, {"disk_gib", i.claim->disk_gib}};
  }
  if (i.fault) json["fault"] = to_json(*i.fault);
  return json;
}

Result<Instance> instance_from_json(const Json& json) {
  Instance i;
  int power = 0;
  std::string task;
  Reader reader(json, "instance");
  reader.get("uuid", i.uuid)
      .get("number", i.number)
      .get("name", i.name)
      .get("hostname", i.hostname)
      .get("project_id", i.project_id)
      .get("user_id", i.user_id)
      .get("host", i.host)
      .get("availability_zone", i.availability_zone)
      .object("flavor", i.flavor, flavor_from_json)
      .object("image", i.image, image_from_json)
      .get("key_name", i.key_name)
      .get("key_data", i.key_data)
      .get("user_data", i.user_data)
      .get("metadata", i.metadata)
      .get("tags", i.tags)
      .get("config_drive", i.config_drive)
      .get("locked", i.locked)
      .get("reservation_id", i.reservation_id)
      .get("launch_index", i.launch_index)
      .parsed("vm_state", i.vm_state, vm_state_from)
      .get("task_state", task)
      .get("power_state", power)
      .get("port_ids", i.port_ids)
      .get("own_port_ids", i.own_port_ids)
      .object("claim", i.claim, claim_from)
      .object("fault", i.fault, fault_from_json)
      .get("generation", i.generation)
      .get("created_us", i.created_us)
      .get("updated_us", i.updated_us)
      .get("launched_us", i.launched_us)
      .get("terminated_us", i.terminated_us);
  auto parsed_task = task_state_from(task);
  if (!parsed_task) return tl::unexpected<Error>(std::move(parsed_task).error());
  i.task_state = *parsed_task;
  i.power_state = static_cast<PowerState>(power);
  if (!is_uuid(i.uuid)) return fail(Code::kInvalid, "instance.uuid is not a uuid");
  return reader.done(std::move(i));
}

}  // namespace ca
