#include "agent/api/compute/local_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace ca {
namespace {

constexpr std::int64_t kLargestGib = std::int64_t{1} << 20;

// "" for a member that is not there, null or no text.
std::string text_of(const Json& entry, const char* name) {
  const auto member = entry.find(name);
  return member != entry.end() && member->is_string() ? member->get<std::string>() : std::string();
}

Result<std::int64_t> size_of(const Json& entry) {
  const auto member = entry.find("volume_size");
  if (member == entry.end() || member->is_null()) return 0;
  std::int64_t size = -1;
  if (member->is_number_integer()) {
    size = member->get<std::int64_t>();
  } else if (member->is_string()) {
    const auto& text = member->get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc{} || end != text.data() + text.size()) size = -1;
  }
  if (size >= 0 && size <= kLargestGib) return size;
  return fail(Code::kInvalid,
              fmt::format("Invalid input: volume_size of a local block device must be a whole number up to {}", kLargestGib));
}

}  // namespace

Result<std::optional<BlockDevice>> local_device(const Json& entry) {
  if (!entry.is_object() || text_of(entry, "source_type") != "blank" || text_of(entry, "destination_type") != "local") {
    return std::optional<BlockDevice>();
  }
  BlockDevice device;
  device.id = new_uuid();
  device.source = BlockSource::kBlank;
  device.destination = BlockDestination::kLocal;
  device.delete_on_termination = true;
  device.guest_format = text_of(entry, "guest_format");
  constexpr std::array<std::string_view, 5> kFormats{"", "ext4", "vfat", "xfs", "swap"};
  if (std::ranges::find(kFormats, device.guest_format) == kFormats.end()) {
    return fail(Code::kInvalid, fmt::format("Invalid input: guest_format '{:.32}' is none of ext4, vfat, xfs, swap", device.guest_format));
  }
  if (const auto index = entry.find("boot_index"); index != entry.end() && !index->is_null() && *index != -1 && *index != "-1") {
    return fail(Code::kInvalid, "Invalid input: an ephemeral disk or swap can't be booted from; its boot_index is -1");
  }
  if (!text_of(entry, "disk_bus").empty() || !text_of(entry, "device_name").empty()) {
    return fail(Code::kInvalid, "Invalid input: disk_bus and device_name of local block devices follow from the image and the order",
                "set hw_disk_bus on the image, or leave them out");
  }
  CA_TRY(device.size_gib, size_of(entry));
  return std::optional<BlockDevice>(std::move(device));
}

bool repeats_image(const Json& entry, const Uuid& image_id) {
  return entry.is_object() && text_of(entry, "source_type") == "image" && text_of(entry, "destination_type") == "local" &&
         text_of(entry, "uuid") == image_id && entry.value("boot_index", Json(0)) == 0;
}

}  // namespace ca
