#include "agent/verbs/volume_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "agent/domainxml/disk_device.h"
#include "agent/verbs/local_disks.h"
#include "agent/verbs/steps.h"

namespace ca {
namespace {

constexpr int kMostDevices = 26;

// Of the disks that the agent makes, root and config drive among them.
Result<std::set<std::string>> local_names(const Config& config, const Instance& instance) {
  CA_TRY(const DiskPlan plan, plan_disks(instance.image, machine_for(config, instance, GuestSpec().arch)));
  std::vector<LocalDisk> disks = instance.local_disks;
  if (disks.empty()) {
    CA_TRY(disks, planned_disks(instance, plan, {}));
  }
  std::set<std::string> taken;
  for (const LocalDisk& disk : disks) taken.insert(disk.device_name);
  if (!instance.config_drive) return taken;
  std::string drive = "/dev/" + plan.cdrom_target.substr(0, 2) + "a";
  while (taken.contains(drive)) ++drive.back();
  taken.insert(drive);
  return taken;
}

Result<std::set<std::string>> taken_names(Tx& tx, const Config& config, const Instance& instance) {
  CA_TRY(auto taken, local_names(config, instance));
  for (const BlockDevice& device : instance.block_devices) {
    // One that is still to be placed may have asked for a name.
    if (!is_volume(device) || device.volume_id.empty()) taken.insert(device.device_name);
  }
  CA_TRY(const auto volumes, tx.all<Volume>());
  for (const Volume& volume : volumes) {
    if (const auto* attachment = attachment_of(volume, instance.uuid)) taken.insert(attachment->device_name);
  }
  return taken;
}

}  // namespace

bool is_volume(const BlockDevice& device) { return device.destination == BlockDestination::kVolume; }

bool boots_from_volume(const Instance& instance) {
  return std::ranges::any_of(instance.block_devices, [](const BlockDevice& d) { return is_volume(d) && d.boot_index == 0; });
}

const BlockDevice* volume_device(const Instance& instance, const Uuid& volume) {
  const auto found =
      std::ranges::find_if(instance.block_devices, [&](const BlockDevice& d) { return is_volume(d) && d.volume_id == volume; });
  return found == instance.block_devices.end() ? nullptr : &*found;
}

const VolumeAttachment* attachment_of(const Volume& volume, const Uuid& instance) {
  const auto found = std::ranges::find(volume.attachments, instance, &VolumeAttachment::instance_uuid);
  return found == volume.attachments.end() ? nullptr : &*found;
}

Result<Volume> get_volume(Tx& tx, const Uuid& id) {
  auto volume = tx.get<Volume>(id);
  if (!volume && volume.error().code == Code::kNotFound) {
    return fail(Code::kNotFound, fmt::format("Volume {} could not be found.", id), "`computectl volume list` shows the volumes");
  }
  return volume;
}

Result<void> put_volume(Tx& tx, Volume& volume) {
  volume.updated_us = tx.now_us();
  return tx.put(volume);
}

Result<std::string> choose_device_name(Tx& tx, const Config& config, const Instance& instance, const BlockDevice& device) {
  CA_TRY(const auto taken, taken_names(tx, config, instance));
  std::string bus = device.disk_bus;
  if (bus.empty()) {
    CA_TRY(bus, volume_bus(instance.image));
  }
  const std::string prefix = "/dev/" + bus_prefix(bus);
  if (!device.device_name.empty()) {
    const std::string wanted = device.device_name.starts_with("/dev/") ? device.device_name : "/dev/" + device.device_name;
    const bool fits = wanted.size() == prefix.size() + 1 && wanted.starts_with(prefix) && wanted.back() >= 'a' && wanted.back() <= 'z';
    if (!fits) {
      return fail(Code::kInvalid,
                  fmt::format("The supplied device path ({:.64}) is invalid: on bus {} it is {}a to {}z", wanted, bus, prefix, prefix),
                  "leave the device out: the next free one is chosen");
    }
    if (taken.contains(wanted)) {
      return fail(Code::kConflict, fmt::format("The supplied device path ({}) is in use.", wanted),
                  "leave the device out: the next free one is chosen");
    }
    return wanted;
  }
  // The first is the root's, even where that is a volume.
  for (int n = boots_from_volume(instance) && device.boot_index != 0 ? 1 : 0; n < kMostDevices; ++n) {
    std::string name = prefix + static_cast<char>('a' + n);
    if (!taken.contains(name)) return name;
  }
  return fail(Code::kNoResources, fmt::format("instance {} has no free device name on bus {}", instance.uuid, bus),
              "detach a volume first");
}

Result<void> reserve_volume(Tx& tx, const Config& config, const Instance& instance, const BlockDevice& device) {
  CA_TRY(Volume volume, get_volume(tx, device.volume_id));
  if (const auto* mine = attachment_of(volume, instance.uuid)) {
    if (mine->id == device.id) return {};
    return fail(Code::kInvalid,
                fmt::format("volume {} is attached to instance {} already, as {}", volume.id, instance.uuid, mine->device_name));
  }
  const bool shared = volume.status == "in-use" && volume.multiattach;
  if (volume.status != "available" && !shared) {
    return fail(Code::kInvalid,
                fmt::format("Invalid volume: volume {} status must be available{}, and is {}", volume.id,
                            volume.multiattach ? " or in-use" : "", volume.status),
                volume.status == "in-use" ? "detach it first, or make a volume with --multi-attach" : "wait until it is available");
  }
  VolumeAttachment attachment;
  attachment.id = device.id;
  attachment.instance_uuid = instance.uuid;
  attachment.host = config.host;
  CA_TRY(attachment.device_name, choose_device_name(tx, config, instance, device));
  volume.attachments.push_back(std::move(attachment));
  volume.status = "reserved";
  volume.fault.clear();
  return put_volume(tx, volume);
}

Result<void> record_attached(Tx& tx, Instance& record, const BlockDevice& device) {
  CA_TRY(Volume volume, get_volume(tx, device.volume_id));
  const auto attachment = std::ranges::find(volume.attachments, record.uuid, &VolumeAttachment::instance_uuid);
  if (attachment == volume.attachments.end())
    return fail(Code::kInternal, "volume " + volume.id + " was not reserved", "report this defect");
  attachment->attached_us = tx.now_us();
  volume.status = "in-use";
  BlockDevice mine = device;
  mine.device_name = attachment->device_name;
  if (mine.boot_index == 0) record.root_device_name = mine.device_name;
  std::erase_if(record.block_devices, [&](const BlockDevice& d) { return is_volume(d) && d.volume_id == device.volume_id; });
  record.block_devices.push_back(std::move(mine));
  return put_volume(tx, volume);
}

Result<bool> release_volume(Tx& tx, const Uuid& id, const Uuid& instance, bool and_delete) {
  auto volume = tx.get<Volume>(id);
  if (!volume && volume.error().code == Code::kNotFound) return false;
  if (!volume) return tl::unexpected<Error>(std::move(volume).error());
  if (std::erase_if(volume->attachments, [&](const VolumeAttachment& a) { return a.instance_uuid == instance; }) == 0) return false;
  const bool deleted = and_delete && volume->attachments.empty();
  volume->status = deleted ? "deleting" : volume->attachments.empty() ? "available" : "in-use";
  CA_TRY_VOID(put_volume(tx, *volume));
  return deleted;
}

Result<void> keep_attached(Tx& tx, const Uuid& id, const std::string& fault) {
  auto volume = tx.get<Volume>(id);
  if (!volume && volume.error().code == Code::kNotFound) return {};
  if (!volume) return tl::unexpected<Error>(std::move(volume).error());
  if (volume->attachments.empty()) return {};
  volume->status = "in-use";
  volume->fault = fault;
  return put_volume(tx, *volume);
}

}  // namespace ca
