#include "agent/verbs/rescue_spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/verbs/local_disks.h"

namespace ca {
namespace {

// The letter behind `target`'s: "vda" gives "vdb".
std::string next_target(std::string target) {
  ++target.back();
  return target;
}

Result<DiskDevice> recorded_device(Services& s, const Instance& guest, const std::string& name) {
  const auto disk = std::ranges::find(guest.local_disks, name, &LocalDisk::name);
  if (disk == guest.local_disks.end()) {
    return fail(Code::kInternal, fmt::format("the record of the rescued instance {} has no disk '{}'", guest.uuid, name));
  }
  CA_TRY(DiskBackend* const backend, backend_of(s, *disk));
  DiskDevice device;
  device.source = backend->source(backend->address(guest.uuid, name));
  device.format = disk->format;
  device.cache = cache_mode(s.config, device.source);
  device.discard = s.config.hw_disk_discard;
  return device;
}

}  // namespace

Instance as_rescue_guest(const Instance& recorded) {
  Instance guest = recorded;
  guest.image = *recorded.rescue_image;
  guest.image.id = recorded.image.id;  // the instance is still made of this one
  return guest;
}

Result<std::vector<DiskDevice>> rescue_disk_devices(Services& s, const Instance& guest, const std::string& machine) {
  CA_TRY(const DiskPlan plan, plan_disks(guest.image, machine));
  CA_TRY(DiskDevice rescue, recorded_device(s, guest, kRescueDisk));
  CA_TRY(DiskDevice old_root, recorded_device(s, guest, "disk"));
  rescue.bus = old_root.bus = plan.root_bus;
  rescue.target = plan.root_target;
  old_root.target = next_target(plan.root_target);
  std::vector<DiskDevice> devices{rescue, old_root};
  if (!guest.config_drive) return devices;
  DiskDevice drive;
  drive.kind = DiskDevice::Kind::kCdrom;
  drive.source.path = rescue_config_drive(s, guest.uuid);
  drive.format = DiskFormat::kRaw;
  drive.bus = plan.cdrom_bus;
  drive.target = plan.cdrom_target == old_root.target ? next_target(plan.cdrom_target) : plan.cdrom_target;
  drive.cache = cache_mode(s.config, drive.source);
  devices.push_back(drive);
  return devices;
}

std::string rescue_config_drive(Services& s, const Uuid& uuid) { return s.paths.instance_dir(uuid) + "/" + kRescueConfigDrive; }

}  // namespace ca
