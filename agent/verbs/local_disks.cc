#include "agent/verbs/local_disks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/verbs/steps.h"
#include "agent/verbs/volume_records.h"
#include "drivers/files/instance_dir.h"

namespace ca {
namespace {

constexpr std::int64_t kGib = std::int64_t{1} << 30;
constexpr std::int64_t kMib = std::int64_t{1} << 20;

std::string prefix_of(const std::string& bus) { return bus == "virtio" ? "vd" : bus == "ide" ? "hd" : "sd"; }

// "vda" ... "vdz", then "vdaa": as the kernel of the guest goes on.
std::string target_name(const std::string& prefix, std::size_t index) {
  std::string letters;
  for (std::size_t n = index + 1; n > 0; n = (n - 1) / 26) letters.insert(letters.begin(), static_cast<char>('a' + (n - 1) % 26));
  return prefix + letters;
}

std::string next_free(const std::set<std::string>& taken, const std::string& bus) {
  std::size_t index = 0;
  while (taken.contains(target_name(prefix_of(bus), index))) ++index;
  return target_name(prefix_of(bus), index);
}

std::string target_of(const LocalDisk& disk) {
  const std::size_t slash = disk.device_name.rfind('/');
  return slash == std::string::npos ? disk.device_name : disk.device_name.substr(slash + 1);
}

// nova: disk/api.py, get_fs_type_for_os_type and its defaults.
std::string default_file_system(const Instance& instance, const std::string& configured) {
  if (!configured.empty()) return configured;
  const auto os = instance.image.properties.find("os_type");
  return os != instance.image.properties.end() && os->second == "linux" ? "ext4" : "vfat";
}

bool is_swap(const BlockDevice& device) { return device.guest_format == "swap"; }

bool is_blank(const BlockDevice& device) { return device.source == BlockSource::kBlank && device.destination == BlockDestination::kLocal; }

// Sizes and formats of the ephemeral disks: those that were ordered, else one of all that the flavor has.
Result<std::vector<LocalDisk>> ephemeral_disks(const Instance& instance, const std::string& file_system) {
  std::vector<LocalDisk> disks;
  std::int64_t ordered = 0;
  const auto add = [&](std::int64_t gib, const std::string& format) {
    LocalDisk disk;
    disk.name = fmt::format("disk.eph{}", disks.size());
    disk.size_bytes = gib * kGib;
    disk.guest_format = format.empty() ? file_system : format;
    disks.push_back(std::move(disk));
  };
  for (const BlockDevice& device : instance.block_devices) {
    if (!is_blank(device) || is_swap(device)) continue;
    const std::int64_t gib = device.size_gib > 0 ? device.size_gib : instance.flavor.ephemeral_gib;
    ordered += gib;
    if (gib <= 0 || ordered > instance.flavor.ephemeral_gib) {
      return fail(Code::kInvalid,
                  fmt::format("Ephemeral disks requested are larger than the instance type allows: {} GiB of {} GiB", ordered,
                              instance.flavor.ephemeral_gib),
                  "ask for less, or use a flavor with more ephemeral disk");
    }
    add(gib, device.guest_format);
  }
  if (disks.empty() && instance.flavor.ephemeral_gib > 0) add(instance.flavor.ephemeral_gib, "");
  return disks;
}

Result<std::int64_t> swap_mib(const Instance& instance) {
  const auto ordered = std::ranges::find_if(instance.block_devices, [](const BlockDevice& d) { return is_blank(d) && is_swap(d); });
  if (ordered == instance.block_devices.end()) return instance.flavor.swap_mib;
  if (ordered->size_gib > instance.flavor.swap_mib) {
    return fail(Code::kInvalid,
                fmt::format("Swap drive requested is larger than instance type allows: {} MiB of {} MiB", ordered->size_gib,
                            instance.flavor.swap_mib),
                "ask for less, or use a flavor with more swap");
  }
  return ordered->size_gib > 0 ? ordered->size_gib : instance.flavor.swap_mib;
}

// What a disk's name says of its bus; of "sd" the image has to say which.
std::string bus_of(const std::string& target, const DiskPlan& plan) {
  if (target == plan.root_target) return plan.root_bus;
  if (target.starts_with("vd")) return "virtio";
  if (target.starts_with("hd")) return "ide";
  return plan.disk_bus == "virtio" || plan.disk_bus == "ide" ? "scsi" : plan.disk_bus;
}

// A preallocated file has no block to find on the way, so QEMU may use the kernel's asynchronous I/O; nova does the same.
std::string io_mode(const Config& config, const DiskSource& source, const std::string& cache) {
  if (source.kind != DiskSource::Kind::kFile || config.preallocate_images != "space") return {};
  return cache == "none" || cache == "directsync" ? "native" : "threads";
}

}  // namespace

Result<std::vector<LocalDisk>> planned_disks(const Instance& instance, const DiskPlan& plan, const NewDisks& made) {
  std::vector<LocalDisk> disks(1);
  disks[0].name = "disk";
  disks[0].size_bytes = root_bytes(instance);
  disks[0].device_name = "/dev/" + plan.root_target;
  CA_TRY(std::vector<LocalDisk> more, ephemeral_disks(instance, default_file_system(instance, made.ephemeral_format)));
  std::ranges::move(more, std::back_inserter(disks));
  CA_TRY(const std::int64_t swap, swap_mib(instance));
  if (swap > 0) {
    disks.push_back({.name = "disk.swap", .storage = {}, .size_bytes = swap * kMib, .device_name = {}, .guest_format = "swap"});
  }
  std::set<std::string> taken{plan.root_target};
  for (LocalDisk& disk : disks) {
    disk.storage = made.storage;
    disk.format = made.format;
    if (!disk.device_name.empty()) continue;
    const std::string target = next_free(taken, plan.disk_bus);
    taken.insert(target);
    disk.device_name = "/dev/" + target;
  }
  if (boots_from_volume(instance)) disks.erase(disks.begin());
  return disks;
}

Result<std::vector<LocalDisk>> planned_disks(Services& s, const Instance& instance) {
  CA_TRY(const DiskPlan plan, plan_disks(instance.image, machine_for(s.config, instance, GuestSpec().arch)));
  return planned_disks(instance, plan, {std::string(s.disks.storage()), s.disks.format(), s.config.default_ephemeral_format});
}

std::vector<LocalDisk> recorded_disks(Services& s, const Instance& instance) {
  if (!instance.local_disks.empty() || boots_from_volume(instance)) return instance.local_disks;
  LocalDisk disk;
  disk.name = "disk";
  disk.storage = s.disks.storage();
  disk.format = s.disks.format();
  disk.size_bytes = root_bytes(instance);
  disk.device_name = instance.root_device_name;
  return {disk};
}

Result<DiskBackend*> backend_of(Services& s, const LocalDisk& disk) { return s.disks_of(disk.storage); }

std::string cache_mode(const Config& config, const DiskSource& source) {
  const std::string kind = source.kind == DiskSource::Kind::kFile    ? "file="
                           : source.kind == DiskSource::Kind::kBlock ? "block="
                                                                     : "network=";
  for (const std::string& entry : config.disk_cachemodes) {
    if (entry.starts_with(kind)) return entry.substr(kind.size());
  }
  return "none";
}

Result<std::vector<DiskDevice>> local_disk_devices(Services& s, const Instance& instance, const std::string& machine) {
  CA_TRY(const DiskPlan plan, plan_disks(instance.image, machine));
  std::vector<DiskDevice> devices;
  std::set<std::string> taken;
  for (const LocalDisk& disk : recorded_disks(s, instance)) {
    CA_TRY(DiskBackend* const backend, backend_of(s, disk));
    DiskDevice device;
    device.source = backend->source(backend->address(instance.uuid, disk.name));
    device.format = disk.format;
    device.target = disk.device_name.empty() ? plan.root_target : target_of(disk);
    device.bus = bus_of(device.target, plan);
    device.cache = cache_mode(s.config, device.source);
    device.io = io_mode(s.config, device.source, device.cache);
    device.discard = s.config.hw_disk_discard;
    taken.insert(device.target);
    devices.push_back(std::move(device));
  }
  if (!instance.config_drive) return devices;
  DiskDevice drive;
  drive.kind = DiskDevice::Kind::kCdrom;
  drive.source.path = s.paths.config_drive(instance.uuid);
  drive.format = DiskFormat::kRaw;
  drive.bus = plan.cdrom_bus;
  drive.target = next_free(taken, plan.cdrom_bus);
  drive.cache = cache_mode(s.config, drive.source);
  devices.push_back(std::move(drive));
  return devices;
}

Result<void> write_disk_info(Services& s, const Uuid& uuid, const std::vector<LocalDisk>& disks) {
  Json info = Json::object();
  for (const LocalDisk& disk : disks) {
    CA_TRY(DiskBackend* const backend, backend_of(s, disk));
    const DiskSource source = backend->source(backend->address(uuid, disk.name));
    if (source.kind == DiskSource::Kind::kFile) info[source.path] = to_string(disk.format);
  }
  return write_text_file(s.paths.disk_info(uuid), info.dump(), 0644);
}

Result<void> write_record_copy(Services& s, const Instance& instance) {
  return write_text_file(s.paths.record_copy(instance.uuid), to_json(instance).dump(2, ' ', false, Json::error_handler_t::replace), 0600);
}

}  // namespace ca
