// --volume, --boot-from-volume and --block-device of server create, as block_device_mapping_v2.

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/server_internal.h"

namespace ca::ctl {
namespace {

constexpr std::array<std::string_view, 11> kKeys{"uuid",        "source_type", "destination_type",     "disk_bus",
                                                 "device_type", "device_name", "volume_size",          "guest_format",
                                                 "boot_index",  "tag",         "delete_on_termination"};

std::vector<std::pair<std::string, std::string>> parts_of(const std::string& value) {
  std::vector<std::pair<std::string, std::string>> parts;
  std::istringstream stream(value);
  for (std::string part; std::getline(stream, part, ',');) {
    const std::size_t equals = part.find('=');
    parts.emplace_back(part.substr(0, equals), equals == std::string::npos ? "" : part.substr(equals + 1));
  }
  return parts;
}

bool is_number(const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

Result<std::string> source_id(Api& api, const std::string& source, const std::string& name) {
  if (source == "volume") {
    CA_TRY(const Json volume, find_volume(api, name));
    return text_member(volume, "id");
  }
  if (source == "snapshot") {
    CA_TRY(const Json snapshot, find_volume_snapshot(api, name));
    return text_member(snapshot, "id");
  }
  CA_TRY(const Json image, find_image(api, name));
  return text_member(image, "id");
}

Result<Json> device_of(Api& api, const std::string& value) {
  Json device{{"source_type", "volume"}, {"destination_type", "volume"}, {"boot_index", -1}};
  for (const auto& [key, text] : parts_of(value)) {
    if (key == "boot_index" || key == "volume_size") {
      device[key] = std::stoi(text);
    } else if (key == "delete_on_termination") {
      device[key] = text == "true" || text == "True";
    } else {
      device[key] = text;
    }
  }
  if (device.contains("uuid")) {
    CA_TRY(device["uuid"], source_id(api, device["source_type"], device["uuid"]));
  }
  return device;
}

}  // namespace

std::string block_device_problem(const std::string& value) {
  for (const auto& [key, text] : parts_of(value)) {
    const bool number = key == "boot_index" || key == "volume_size";
    if (std::ranges::find(kKeys, key) == kKeys.end() || text.empty() || (number && !is_number(text))) {
      return "Invalid argument " + value +
             "; argument must be of form 'uuid=<uuid>,source_type=<volume|snapshot|image|blank>,destination_type=<volume|local>,"
             "boot_index=<index>,volume_size=<GB>,device_name=<name>,disk_bus=<bus>,tag=<tag>,delete_on_termination=<true|false>'";
    }
  }
  return value.empty() ? "the block device is empty" : "";
}

Result<void> add_block_devices(Api& api, Json& server, const Args& args) {
  Json mapping = server.value("block_device_mapping_v2", Json::array());
  if (const auto volume = args.get("volume")) {
    CA_TRY(const Json found, find_volume(api, *volume));
    mapping.push_back({{"uuid", text_member(found, "id")}, {"source_type", "volume"}, {"destination_type", "volume"}, {"boot_index", 0}});
  }
  if (const auto size = args.number("boot-from-volume")) {
    if (!server.contains("imageRef")) {
      return fail(Code::kInvalid, "An image (--image) is required to create a boot volume from (--boot-from-volume)", "give --image, too");
    }
    mapping.push_back({{"uuid", server["imageRef"]},
                       {"source_type", "image"},
                       {"destination_type", "volume"},
                       {"boot_index", 0},
                       {"volume_size", *size}});
    server["imageRef"] = "";
  }
  for (const std::string& value : args.all("block-device")) {
    CA_TRY(Json device, device_of(api, value));
    mapping.push_back(std::move(device));
  }
  if (!mapping.empty()) server["block_device_mapping_v2"] = std::move(mapping);
  return {};
}

}  // namespace ca::ctl
