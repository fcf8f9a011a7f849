#include "agent/api/compute/server_create.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "agent/api/compute/local_devices.h"
#include "agent/api/compute/volume_devices.h"
#include "agent/core/base64.h"
#include "agent/resources/addresses.h"
#include "agent/verbs/local_disks.h"

namespace ca {
namespace {

constexpr std::int64_t kLargestCount = 100;

Result<std::int64_t> number_of(const Json& json, const char* name, std::int64_t otherwise) {
  const auto member = json.find(name);
  if (member == json.end()) return otherwise;
  if (member->is_number_integer()) return member->get<std::int64_t>();
  const auto& text = member->get_ref<const std::string&>();
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(Code::kInvalid, fmt::format("{} '{}' is not a number", name, text));
  return value;
}

bool control_character(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

Result<Flavor> find_flavor(ApiServices& s, const Json& server) {
  const Json& ref = server.at("flavorRef");
  std::string id = ref.is_string() ? ref.get<std::string>() : std::to_string(ref.get<std::int64_t>());
  // A link is allowed: its last part counts.
  if (const std::size_t slash = id.rfind('/'); slash != std::string::npos) id = id.substr(slash + 1);
  const auto flavor = s.verbs.store.get<Flavor>(id);
  if (!flavor) return fail(Code::kInvalid, fmt::format("Flavor {} could not be found.", id), "`computectl flavor list` shows the flavors");
  return *flavor;
}

Result<ImageMeta> find_image(ApiServices& s, const Json& server) {
  if (const Json* root = root_volume_entry(server)) return image_of_root(s, *root);
  const std::string id = server.value("imageRef", "");
  if (id.empty()) {
    return fail(Code::kInvalid, "Invalid input: neither an image nor a volume to boot from is given",
                "give imageRef (--image) or a volume (--volume)");
  }
  const auto image = s.verbs.store.get<ImageMeta>(id);
  if (!image) return fail(Code::kInvalid, fmt::format("Image {} could not be found.", id), "`computectl image list` shows the images");
  if (image->status != ImageStatus::kActive) {
    return fail(Code::kInvalid, fmt::format("Image {} is not active: its status is {}", id, to_string(image->status)),
                "upload its data first");
  }
  return *image;
}

Result<void> check_fits(const Flavor& flavor, const ImageMeta& image) {
  constexpr std::int64_t kGib = std::int64_t{1} << 30;
  if (flavor.memory_mib < image.min_ram_mib) {
    return fail(
        Code::kInvalid,
        fmt::format("Flavor's memory is too small for requested image: {} MiB of {} MiB needed", flavor.memory_mib, image.min_ram_mib),
        "use a larger flavor");
  }
  if (flavor.root_gib == 0) return {};
  if (flavor.root_gib < image.min_disk_gib) {
    return fail(Code::kInvalid,
                fmt::format("Flavor's disk is smaller than the minimum size specified in image metadata: {} GiB of {} GiB", flavor.root_gib,
                            image.min_disk_gib),
                "use a larger flavor");
  }
  if (flavor.root_gib * kGib < image.virtual_size_bytes) {
    return fail(Code::kInvalid,
                fmt::format("Flavor's disk is too small for requested image: {} bytes of {} bytes", flavor.root_gib * kGib,
                            image.virtual_size_bytes),
                "use a larger flavor");
  }
  return {};
}

Result<Json> requested_networks(ApiServices& s, const Json& server) {
  Json requested = Json::array();
  const auto networks = server.find("networks");
  if (networks == server.end() || networks->is_string()) {
    if (networks != server.end() && *networks == "none") return requested;
    const auto all = s.verbs.store.all<Network>();
    if (all.size() > 1) {
      return fail(Code::kConflict, "Multiple possible networks found, use a Network ID to be more specific.", "give --network NAME");
    }
    for (const auto& network : all) requested.push_back({{"network_id", network->id}});
    return requested;
  }
  for (const Json& entry : *networks) {
    Json request = Json::object();
    if (entry.contains("port")) {
      const std::string id = entry.at("port");
      if (!s.verbs.store.get<Port>(id)) return fail(Code::kInvalid, fmt::format("Port {} could not be found.", id));
      request["port_id"] = id;
    } else if (entry.contains("uuid")) {
      const std::string id = entry.at("uuid");
      if (!s.verbs.store.get<Network>(id)) {
        return fail(Code::kInvalid, fmt::format("Network {} could not be found.", id), "`computectl network list` shows the networks");
      }
      request["network_id"] = id;
      if (entry.contains("fixed_ip")) {
        CA_TRY_VOID(parse_address(entry.at("fixed_ip").get<std::string>()));
        request["fixed_ip"] = entry.at("fixed_ip");
      }
    } else {
      return fail(Code::kInvalid, "Invalid input: an entry of networks names neither uuid nor port");
    }
    requested.push_back(std::move(request));
  }
  return requested;
}

Result<void> fill_names(ApiServices& s, const Json& server, ServerOrder& order) {
  Instance& instance = order.instance;
  instance.name = server.at("name");
  if (std::ranges::any_of(instance.name, control_character) || instance.name.front() == ' ' || instance.name.back() == ' ') {
    return fail(Code::kInvalid, "Invalid input for field name: control characters and spaces at its ends are not allowed");
  }
  order.hostname_given = server.contains("hostname");
  instance.hostname = order.hostname_given ? server.at("hostname").get<std::string>() : "server";
  const std::string zone = server.value("availability_zone", "");
  // "zone:host:node" forces a host, as nova.
  const std::string forced = zone.find(':') == std::string::npos
                                 ? server.value("host", "")
                                 : zone.substr(zone.find(':') + 1, zone.find(':', zone.find(':') + 1) - zone.find(':') - 1);
  const std::string zone_name = zone.substr(0, zone.find(':'));
  if (!forced.empty() && forced != s.verbs.config.host) {
    return fail(Code::kInvalid, fmt::format("Compute host {} could not be found.", forced),
                "this agent stands alone; its host is " + s.verbs.config.host);
  }
  if (!zone_name.empty() && zone_name != s.verbs.config.default_availability_zone) {
    return fail(Code::kInvalid, "The requested availability zone is not available",
                "this agent serves zone " + s.verbs.config.default_availability_zone);
  }
  instance.availability_zone = s.verbs.config.default_availability_zone;
  return {};
}

Result<void> fill_access(ApiServices& s, const Json& server, Instance& instance) {
  if (const std::string key = server.value("key_name", ""); !key.empty()) {
    const auto pair = s.verbs.store.get<Keypair>(std::string(kUserId) + "/" + key);
    if (!pair)
      return fail(Code::kInvalid, fmt::format("Invalid key_name provided: there is no keypair '{}'", key),
                  "`computectl keypair list` shows the keys");
    instance.key_name = key;
    instance.key_data = pair->public_key;
  }
  instance.user_data = server.value("user_data", "");
  if (auto decoded = base64_decode(instance.user_data); !decoded) {
    return wrap(std::move(decoded).error(), "Invalid input for field user_data",
                "send the user data as base64, as RFC 4648 says, without line breaks");
  }
  if (server.contains("metadata")) instance.metadata = server.at("metadata").get<Properties>();
  if (server.contains("tags")) instance.tags = server.at("tags").get<std::vector<std::string>>();
  return {};
}

Result<void> fill_block_devices(ApiServices& s, const Json& server, Instance& instance) {
  for (const Json& entry : server.value("block_device_mapping_v2", Json::array())) {
    CA_TRY(auto local, local_device(entry));
    CA_TRY(auto volume, ordered_volume(s, entry));
    if (volume) {
      instance.block_devices.push_back(*std::move(volume));
    } else if (local) {
      instance.block_devices.push_back(*std::move(local));
    } else if (!repeats_image(entry, instance.image.id)) {
      return fail(Code::kInvalid,
                  "Invalid input: block_device_mapping_v2 knows volumes, blank local disks, and the image that the server is made of");
    }
  }
  CA_TRY_VOID(planned_disks(s.verbs, instance));
  return {};
}

bool wants_config_drive(const Json& server) {
  const auto member = server.find("config_drive");
  // There is no metadata service yet: without a word, a config drive is made.
  if (member == server.end() || member->is_null()) return true;
  if (member->is_boolean()) return member->get<bool>();
  std::string text = member->get<std::string>();
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text != "false" && text != "0" && text != "no" && text != "off" && text != "f";
}

}  // namespace

std::string hostname_from(const std::string& name, const Uuid& uuid) {
  std::string host;
  for (const char raw : name) {
    const auto c = static_cast<unsigned char>(raw);
    if (c == ' ' || c == '_' || c == '.') {
      host += '-';
    } else if (std::isalnum(c) != 0 && c < 0x80) {
      host += static_cast<char>(std::tolower(c));
    } else if (c == '-') {
      host += '-';
    }
  }
  const std::size_t first = host.find_first_not_of('-');
  if (first == std::string::npos) return "server-" + uuid;
  host = host.substr(first, 63);
  host.erase(host.find_last_not_of('-') + 1);
  return host;
}

Result<ServerOrder> server_order(ApiServices& s, const Json& server) {
  ServerOrder order;
  CA_TRY_VOID(fill_names(s, server, order));
  if (!server.value("personality", Json::array()).empty())
    return fail(Code::kInvalid, "Invalid input: personality is not supported yet; use user_data");
  CA_TRY(order.instance.flavor, find_flavor(s, server));
  CA_TRY(order.instance.image, find_image(s, server));
  CA_TRY_VOID(check_fits(order.instance.flavor, order.instance.image));
  CA_TRY_VOID(fill_block_devices(s, server, order.instance));
  CA_TRY(order.networks, requested_networks(s, server));
  CA_TRY_VOID(fill_access(s, server, order.instance));
  order.instance.config_drive = wants_config_drive(server);
  order.instance.project_id = kProjectId;
  order.instance.user_id = kUserId;
  order.instance.host = s.verbs.config.host;
  CA_TRY(const std::int64_t least, number_of(server, "min_count", 1));
  CA_TRY(const std::int64_t most, number_of(server, "max_count", least));
  if (least < 1 || most < least || most > kLargestCount) {
    return fail(Code::kInvalid, fmt::format("min_count {} and max_count {} must be 1 to {} in this order", least, most, kLargestCount));
  }
  order.count = most;
  return order;
}

}  // namespace ca
