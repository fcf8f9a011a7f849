#include "agent/verbs/rescue_spec.h"

#include <algorithm>

namespace ca {
namespace {

// The letter behind `target`'s: "vda" gives "vdb".
std::string next_target(std::string target) {
  ++target.back();
  return target;
}

DiskFormat recorded_format(const Services& s, const Instance& recorded, const std::string& name) {
  const auto disk = std::ranges::find(recorded.local_disks, name, &LocalDisk::name);
  return disk == recorded.local_disks.end() ? s.disks.format() : disk->format;
}

}  // namespace

Instance as_rescue_guest(const Instance& recorded) {
  Instance guest = recorded;
  guest.image = *recorded.rescue_image;
  guest.image.id = recorded.image.id;  // the instance is still made of this one
  return guest;
}

void put_rescue_disks(Services& s, const Instance& recorded, GuestSpec& spec) {
  DiskDevice old_root = spec.disks.front();
  DiskDevice rescue = old_root;
  rescue.kind = DiskDevice::Kind::kDisk;
  rescue.source = s.disks.source(s.disks.address(recorded.uuid, kRescueDisk));
  rescue.format = recorded_format(s, recorded, kRescueDisk);
  rescue.serial.clear();
  old_root.target = next_target(rescue.target);
  std::vector<DiskDevice> disks{rescue, old_root};
  for (DiskDevice& disk : spec.disks) {
    if (disk.kind != DiskDevice::Kind::kCdrom || !recorded.config_drive) continue;
    disk.source = DiskSource{};
    disk.source.path = rescue_config_drive(s, recorded.uuid);
    if (disk.target == old_root.target) disk.target = next_target(disk.target);
    disks.push_back(disk);
  }
  spec.disks = std::move(disks);
}

std::string rescue_config_drive(Services& s, const Uuid& uuid) { return s.paths.instance_dir(uuid) + "/" + kRescueConfigDrive; }

}  // namespace ca
