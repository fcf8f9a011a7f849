#include "agent/verbs/volume_disks.h"

#include <fmt/format.h>

#include "agent/domainxml/disk_device.h"
#include "agent/verbs/local_disks.h"
#include "agent/verbs/volume_connections.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

Result<VolumeBackend*> volume_backend(Services& s, const Volume& volume) {
  const auto found = s.volumes.backends.find(volume.backend);
  if (found == s.volumes.backends.end()) {
    return fail(Code::kUnavailable,
                fmt::format("volume {} lies in back end '{}', which this agent does not have", volume.id, volume.backend),
                "start the agent with the configuration that the volume was made with");
  }
  return found->second.get();
}

Result<DiskSource> source_of(Services& s, const Volume& volume) {
  if (volume.backend == "connected") return connected_source(s, volume);
  CA_TRY(const VolumeBackend* backend, volume_backend(s, volume));
  return backend->source(volume.id);
}

}  // namespace

Result<void> connect_volume(Services& s, const Volume& volume) {
  if (volume.backend == "connected") return open_connection(s, volume);
  CA_TRY(VolumeBackend * backend, volume_backend(s, volume));
  CA_TRY(const auto bytes, backend->size(volume.id));
  if (bytes) return {};
  return fail(Code::kNotFound, fmt::format("the storage of volume {} ({}) is gone", volume.id, backend->source(volume.id).path),
              "restore it, or detach the volume");
}

Result<void> disconnect_volume(Services& s, const Volume& volume) {
  return volume.backend == "connected" ? close_connection(s, volume) : Result<void>{};
}

Result<DiskDevice> volume_disk(Services& s, const Instance& instance, const BlockDevice& device) {
  const auto volume = s.store.get<Volume>(device.volume_id);
  if (!volume) return fail(Code::kNotFound, fmt::format("Volume {} could not be found.", device.volume_id));
  DiskDevice disk;
  CA_TRY(disk.source, source_of(s, *volume));
  disk.format = DiskFormat::kRaw;
  disk.bus = device.disk_bus;
  if (disk.bus.empty()) {
    CA_TRY(disk.bus, volume_bus(instance.image));
  }
  const auto* attachment = attachment_of(*volume, instance.uuid);
  const std::string& name = attachment != nullptr ? attachment->device_name : device.device_name;
  disk.target = name.substr(name.rfind('/') + 1);
  disk.cache = cache_mode(s.config, disk.source);
  disk.serial = volume->id;
  disk.shareable = volume->multiattach;
  disk.read_only = volume->read_only;
  return disk;
}

Result<void> add_volume_disks(Services& s, const Instance& instance, std::vector<DiskDevice>& disks) {
  for (const BlockDevice& device : instance.block_devices) {
    if (!is_volume(device)) continue;
    CA_TRY(DiskDevice disk, volume_disk(s, instance, device));
    const auto volume = s.store.get<Volume>(device.volume_id);
    if (volume) CA_TRY_VOID(connect_volume(s, *volume));
    disks.insert(device.boot_index == 0 ? disks.begin() : disks.end(), std::move(disk));
  }
  return {};
}

}  // namespace ca
