#include "agent/api/compute/volume_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/core/ids.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

constexpr std::int64_t kLargestGib = std::int64_t{1} << 20;
constexpr std::array<std::string_view, 6> kBuses{"", "virtio", "scsi", "sata", "ide", "usb"};

std::string text_of(const Json& entry, const char* name) {
  const auto member = entry.find(name);
  return member != entry.end() && member->is_string() ? member->get<std::string>() : std::string();
}

// As a number or as text, as clients send it; `otherwise` where it is missing or null.
Result<std::int64_t> number_of(const Json& entry, const char* name, std::int64_t otherwise) {
  const auto member = entry.find(name);
  if (member == entry.end() || member->is_null()) return otherwise;
  if (member->is_number_integer()) {
    const auto value = member->get<std::int64_t>();
    if (value >= -1 && value <= kLargestGib) return value;
  } else if (member->is_string()) {
    const auto& text = member->get_ref<const std::string&>();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size() && value >= -1 && value <= kLargestGib) return value;
  }
  return fail(Code::kInvalid, fmt::format("Invalid input: {} of a block device must be a whole number up to {}", name, kLargestGib));
}

bool for_volume(const Json& entry) {
  // A volume's destination is a volume, said or not.
  return entry.is_object() && (text_of(entry, "destination_type") == "volume" || text_of(entry, "source_type") == "volume");
}

Result<Uuid> uuid_of(const Json& entry, const char* what) {
  const std::string uuid = text_of(entry, "uuid");
  if (is_uuid(uuid)) return uuid;
  return fail(Code::kInvalid, fmt::format("Invalid input: a block device of source {} needs the uuid of a {}", what, what));
}

Result<void> from_volume(ApiServices& s, const Json& entry, BlockDevice& device) {
  device.source = BlockSource::kVolume;
  CA_TRY(device.volume_id, uuid_of(entry, "volume"));
  const auto volume = s.verbs.store.get<Volume>(device.volume_id);
  if (!volume) return fail(Code::kInvalid, fmt::format("Block Device Mapping is Invalid: failed to get volume {}.", device.volume_id));
  if (device.boot_index == 0 && !volume->bootable) {
    return fail(Code::kInvalid, fmt::format("Block Device {} is not bootable.", device.volume_id),
                "`computectl volume set --bootable` marks it so");
  }
  device.size_gib = volume->size_gib;
  return {};
}

Result<void> from_image(ApiServices& s, const Json& entry, BlockDevice& device) {
  device.source = BlockSource::kImage;
  CA_TRY(device.image_id, uuid_of(entry, "image"));
  const auto image = s.verbs.store.get<ImageMeta>(device.image_id);
  if (!image || image->status != ImageStatus::kActive) {
    return fail(Code::kInvalid, fmt::format("Block Device Mapping is Invalid: failed to get image {}.", device.image_id));
  }
  const std::int64_t least = std::max((image->virtual_size_bytes + kBytesOfGib - 1) / kBytesOfGib, image->min_disk_gib);
  if (device.size_gib < std::max<std::int64_t>(least, 1)) {
    return fail(Code::kInvalid,
                fmt::format("Volume size of {} GB is smaller than the {} GB that image {} needs", device.size_gib, least, image->id),
                "give a larger volume_size");
  }
  return {};
}

Result<void> from_snapshot(ApiServices& s, const Json& entry, BlockDevice& device) {
  device.source = BlockSource::kSnapshot;
  CA_TRY(device.snapshot_id, uuid_of(entry, "snapshot"));
  const auto snapshot = s.verbs.store.get<VolumeSnapshot>(device.snapshot_id);
  if (!snapshot || snapshot->status != "available") {
    return fail(Code::kInvalid, fmt::format("Block Device Mapping is Invalid: failed to get snapshot {}.", device.snapshot_id));
  }
  if (device.size_gib == 0) device.size_gib = snapshot->size_gib;
  if (device.size_gib >= snapshot->size_gib) return {};
  return fail(Code::kInvalid, fmt::format("Volume size of {} GB is smaller than the {} GB of snapshot {}", device.size_gib,
                                          snapshot->size_gib, snapshot->id));
}

Result<void> fill_source(ApiServices& s, const Json& entry, BlockDevice& device) {
  const std::string source = text_of(entry, "source_type");
  if (source == "volume") return from_volume(s, entry, device);
  device.volume_id = new_uuid();
  if (source == "image") return from_image(s, entry, device);
  if (source == "snapshot") return from_snapshot(s, entry, device);
  if (source != "blank")
    return fail(Code::kInvalid, fmt::format("Invalid input: source_type '{:.32}' is none of volume, image, snapshot, blank", source));
  device.source = BlockSource::kBlank;
  if (device.size_gib > 0 && device.boot_index != 0) return {};
  return fail(Code::kInvalid, "Invalid input: a blank volume needs a volume_size and can't be booted from");
}

}  // namespace

Result<std::optional<BlockDevice>> ordered_volume(ApiServices& s, const Json& entry) {
  if (!for_volume(entry)) return std::optional<BlockDevice>();
  BlockDevice device;
  device.id = new_uuid();
  device.destination = BlockDestination::kVolume;
  CA_TRY(device.boot_index, number_of(entry, "boot_index", -1));
  CA_TRY(device.size_gib, number_of(entry, "volume_size", 0));
  device.size_gib = std::max<std::int64_t>(device.size_gib, 0);
  device.delete_on_termination = entry.value("delete_on_termination", Json(false)) == true;
  device.device_name = text_of(entry, "device_name");
  if (!device.device_name.empty() && !device.device_name.starts_with("/dev/")) device.device_name.insert(0, "/dev/");
  device.tag = text_of(entry, "tag");
  device.disk_bus = text_of(entry, "disk_bus");
  if (std::ranges::find(kBuses, device.disk_bus) == kBuses.end()) {
    return fail(Code::kInvalid, fmt::format("Invalid input: disk_bus '{:.32}' is none of virtio, scsi, sata, ide, usb", device.disk_bus));
  }
  if (device.tag.size() > 60 || device.device_name.size() > 9)
    return fail(Code::kInvalid, "Invalid input: tag or device_name of a block device is too long");
  if (const std::string type = text_of(entry, "device_type"); !type.empty() && type != "disk") {
    return fail(Code::kInvalid, fmt::format("Invalid input: device_type '{:.32}' is not supported; volumes are disks", type));
  }
  CA_TRY_VOID(fill_source(s, entry, device));
  return std::optional<BlockDevice>(std::move(device));
}

const Json* root_volume_entry(const Json& server) {
  const auto mapping = server.find("block_device_mapping_v2");
  if (mapping == server.end()) return nullptr;
  for (const Json& entry : *mapping) {
    if (!for_volume(entry)) continue;
    if (const auto index = entry.find("boot_index"); index != entry.end() && (*index == 0 || *index == "0")) return &entry;
  }
  return nullptr;
}

Result<ImageMeta> image_of_root(ApiServices& s, const Json& entry) {
  ImageMeta image;
  image.status = ImageStatus::kActive;
  image.disk_format = DiskFormat::kRaw;
  const std::string source = text_of(entry, "source_type");
  const std::string uuid = text_of(entry, "uuid");
  std::string volume_id = uuid;
  if (source == "image") {
    const auto origin = s.verbs.store.get<ImageMeta>(uuid);
    if (origin) image.properties = origin->properties;
    if (origin) image.min_ram_mib = origin->min_ram_mib;
    return image;
  }
  if (source == "snapshot") {
    const auto snapshot = s.verbs.store.get<VolumeSnapshot>(uuid);
    if (snapshot) volume_id = snapshot->volume_id;
  }
  if (const auto volume = s.verbs.store.get<Volume>(volume_id)) image.properties = volume->image_metadata;
  image.properties.erase("image_id");
  image.properties.erase("image_name");
  return image;
}

void name_new_volumes(Instance& instance) {
  for (BlockDevice& device : instance.block_devices) {
    device.id = new_uuid();
    if (is_volume(device) && device.source != BlockSource::kVolume) device.volume_id = new_uuid();
  }
}

}  // namespace ca
