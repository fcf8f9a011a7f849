#include "agent/metadata/instance_metadata.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/core/base64.h"
#include "agent/metadata/network_data.h"

namespace ca {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Members and files came with these (nova/api/metadata/base.py). "latest" has everything.
constexpr std::string_view kGrizzly = "2013-04-04";
constexpr std::string_view kHavana = "2013-10-17";
constexpr std::string_view kLiberty = "2015-10-15";
constexpr std::string_view kNewtonOne = "2016-06-30";
constexpr std::string_view kNewtonTwo = "2016-10-06";
constexpr std::string_view kVictoria = "2020-10-14";
constexpr std::array<std::string_view, 10> kVersions{"2012-08-10", kGrizzly,     kHavana,      kLiberty,  kNewtonOne,
                                                     kNewtonTwo,   "2017-02-22", "2018-08-27", kVictoria, "latest"};
// Older EC2 versions are left out by nova's default of [api] config_drive_skip_versions.
constexpr std::array<std::string_view, 2> kEc2Versions{"2009-04-04", "latest"};

constexpr std::size_t kMaxUserData = 65535;  // nova's MAX_USERDATA_SIZE, of the base64 text
constexpr std::size_t kMaxFileBytes = 1 << 20;

bool since(std::string_view version, std::string_view first) { return version >= first; }  // 'l' sorts after digits

std::string dump(const OrderedJson& json) { return json.dump(-1, ' ', true, OrderedJson::error_handler_t::replace); }

std::string full_hostname(const MetadataInput& input) {
  return input.dhcp_domain.empty() ? input.instance.hostname : input.instance.hostname + "." + input.dhcp_domain;
}

// nova: api/metadata/base.py, _get_device_metadata. Guests find a disk by its serial; its address is the guest's own matter.
OrderedJson tagged_devices(const Instance& instance) {
  OrderedJson devices = OrderedJson::array();
  for (const BlockDevice& device : instance.block_devices) {
    if (device.tag.empty() || device.destination != BlockDestination::kVolume) continue;
    devices.push_back({{"type", "disk"},
                       {"bus", "none"},
                       {"address", "none"},
                       {"serial", device.volume_id},
                       {"path", device.device_name},
                       {"tags", OrderedJson::array({device.tag})}});
  }
  return devices;
}

OrderedJson meta_data(const MetadataInput& input, std::string_view version) {
  const Instance& instance = input.instance;
  OrderedJson json{{"uuid", instance.uuid}};
  if (!instance.metadata.empty()) json["meta"] = instance.metadata;
  if (!input.admin_pass.empty()) json["admin_pass"] = input.admin_pass;
  if (!instance.key_name.empty()) {
    json["public_keys"] = {{instance.key_name, instance.key_data}};
    json["keys"] = OrderedJson::array({{{"name", instance.key_name}, {"type", "ssh"}, {"data", instance.key_data}}});
  }
  json["hostname"] = full_hostname(input);
  json["name"] = instance.name;
  json["launch_index"] = instance.launch_index;
  json["availability_zone"] = instance.availability_zone;
  if (since(version, kGrizzly)) json["random_seed"] = base64_encode(input.random_seed);
  if (since(version, kLiberty)) json["project_id"] = instance.project_id;
  if (since(version, kNewtonOne)) json["devices"] = tagged_devices(instance);
  if (since(version, kVictoria)) json["dedicated_cpus"] = OrderedJson::array();
  return json;
}

std::string root_device(const ImageMeta& image) {
  const auto bus = image.properties.find("hw_disk_bus");
  if (bus == image.properties.end() || bus->second == "virtio") return "vda";
  return bus->second == "ide" ? "hda" : "sda";
}

OrderedJson ec2_meta_data(const MetadataInput& input) {
  const Instance& instance = input.instance;
  OrderedJson local_ipv4 = nullptr;
  for (const Port& port : input.ports) {
    for (const FixedIp& ip : port.fixed_ips) {
      if (local_ipv4.is_null() && ip.ip_address.find(':') == std::string::npos) local_ipv4 = ip.ip_address;
    }
  }
  const std::string hostname = full_hostname(input);
  const std::string device = root_device(instance.image);
  // EC2 ids are 32-bit numbers that nova keeps in a table of its own; the image's is taken from its uuid.
  OrderedJson json{{"ami-id", "ami-" + instance.image.id.substr(0, 8)},
                   {"ami-launch-index", instance.launch_index},
                   {"ami-manifest-path", "FIXME"},
                   {"instance-id", fmt::format("i-{:08x}", instance.number)},
                   {"hostname", hostname},
                   {"local-ipv4", local_ipv4},
                   {"reservation-id", instance.reservation_id},
                   {"security-groups", OrderedJson::array({"default"})}};
  if (!instance.key_name.empty()) json["public-keys"] = {{"0", {{"openssh-key", instance.key_data}}}};
  json["local-hostname"] = hostname;
  json["public-hostname"] = hostname;
  json["public-ipv4"] = "";
  json["instance-type"] = instance.flavor.name;
  json["block-device-mapping"] = {{"ami", device}, {"root", "/dev/" + device}};
  json["placement"] = {{"availability-zone", instance.availability_zone}};
  json["instance-action"] = "none";
  return json;
}

Result<std::optional<std::string>> user_data(const Instance& instance) {
  if (instance.user_data.empty()) return std::optional<std::string>{};
  if (instance.user_data.size() > kMaxUserData) {
    return fail(Code::kTooLarge,
                fmt::format("user_data has {} bytes of base64; at most {} are possible", instance.user_data.size(), kMaxUserData));
  }
  auto decoded = base64_decode(instance.user_data);
  if (!decoded) return wrap(std::move(decoded).error(), fmt::format("user_data of {} cannot be read", instance.uuid));
  return std::optional<std::string>(*std::move(decoded));
}

Result<void> check_sizes(const ConfigDriveFiles& files) {
  for (const auto& [path, content] : files) {
    if (content.size() > kMaxFileBytes) {
      return fail(Code::kTooLarge, fmt::format("{} would have {} bytes; at most {} are possible", path, content.size(), kMaxFileBytes),
                  "use less or shorter metadata");
    }
  }
  return {};
}

}  // namespace

Result<ConfigDriveFiles> instance_metadata(const MetadataInput& input) {
  CA_TRY(const std::optional<std::string> user, user_data(input.instance));
  CA_TRY(const OrderedJson network, network_data(input));
  ConfigDriveFiles files;
  for (const std::string_view version : kEc2Versions) {
    const std::string base = fmt::format("ec2/{}/", version);
    files[base + "meta-data.json"] = dump(ec2_meta_data(input));
    if (user) files[base + "user-data"] = *user;
  }
  for (const std::string_view version : kVersions) {
    const std::string base = fmt::format("openstack/{}/", version);
    files[base + "meta_data.json"] = dump(meta_data(input, version));
    if (user) files[base + "user_data"] = *user;
    if (since(version, kHavana)) files[base + "vendor_data.json"] = "{}";
    if (since(version, kLiberty)) files[base + "network_data.json"] = dump(network);
    if (since(version, kNewtonTwo)) files[base + "vendor_data2.json"] = R"({"static": {}})";
  }
  CA_TRY_VOID(check_sizes(files));
  return files;
}

}  // namespace ca
