// Volumes as a part of an instance's build and end.

#include <fmt/format.h>

#include "agent/verbs/steps.h"
#include "agent/verbs/volume_disks.h"
#include "agent/verbs/volume_records.h"
#include "agent/verbs/volume_work.h"

namespace ca {
namespace {

// Gives every volume of the instance back. Those that go with it are deleted by the work on their status.
Result<void> release_all(Services& s, Tx& tx, Instance& record) {
  CA_TRY(const auto volumes, tx.all<Volume>());
  for (const Volume& volume : volumes) {
    if (attachment_of(volume, record.uuid) == nullptr) continue;
    const BlockDevice* device = volume_device(record, volume.id);
    CA_TRY(const bool deleted, release_volume(tx, volume.id, record.uuid, device != nullptr && device->delete_on_termination));
    if (deleted) tx.after_commit([&s, id = volume.id] { s.volumes.work_on(id); });
  }
  std::erase_if(record.block_devices, [](const BlockDevice& d) { return is_volume(d); });
  return {};
}

Result<void> disconnect_all(Services& s, const Instance& instance) {
  for (const auto& volume : s.store.all<Volume>()) {
    if (attachment_of(*volume, instance.uuid) == nullptr || volume->attachments.size() > 1) continue;
    if (auto done = disconnect_volume(s, *volume); !done)
      return wrap(std::move(done).error(), fmt::format("volume {} can't be disconnected", volume->id));
  }
  return {};
}

// The volume that the build makes for a block device of source image, snapshot or blank. Its id was chosen with the order.
Volume volume_for(const Instance& instance, const BlockDevice& device) {
  Volume volume;
  volume.id = device.volume_id;
  volume.project_id = instance.project_id;
  volume.user_id = instance.user_id;
  volume.size_gib = device.size_gib;
  volume.image_id = device.image_id;
  volume.snapshot_id = device.snapshot_id;
  volume.bootable = device.boot_index == 0;
  volume.availability_zone = instance.availability_zone;
  if (!device.image_id.empty()) volume.image_metadata = instance.image.properties;
  return volume;
}

Result<void> record_new(Tx& tx, const Config& config, const Instance& record, const BlockDevice& device) {
  if (const auto there = tx.get<Volume>(device.volume_id); there && attachment_of(*there, record.uuid) != nullptr) return {};
  Volume volume = volume_for(record, device);
  volume.created_us = tx.now_us();
  volume.status = "available";  // for the reservation that follows in this transaction; its storage is made next
  CA_TRY_VOID(put_volume(tx, volume));
  return reserve_volume(tx, config, record, device);
}

}  // namespace

Result<void> record_volumes(Tx& tx, const Config& config, Instance& record) {
  for (BlockDevice& device : record.block_devices) {
    if (!is_volume(device)) continue;
    if (device.source == BlockSource::kVolume) {
      CA_TRY_VOID(reserve_volume(tx, config, record, device));
    } else {
      CA_TRY_VOID(record_new(tx, config, record, device));
    }
    CA_TRY(const Volume volume, get_volume(tx, device.volume_id));
    if (const auto* attachment = attachment_of(volume, record.uuid)) device.device_name = attachment->device_name;
  }
  return {};
}

// The record keeps its block devices: they say what the failed server was to have.
Result<void> give_volumes_back(Services& s, Tx& tx, const Instance& record) {
  CA_TRY(const auto volumes, tx.all<Volume>());
  for (const Volume& volume : volumes) {
    if (attachment_of(volume, record.uuid) == nullptr) continue;
    const BlockDevice* device = volume_device(record, volume.id);
    const bool made = device != nullptr && device->source != BlockSource::kVolume;
    CA_TRY(const bool deleted, release_volume(tx, volume.id, record.uuid, made));
    if (deleted) tx.after_commit([&s, id = volume.id] { s.volumes.work_on(id); });
  }
  return {};
}

Step make_volumes_step(Services& s) {
  Step step{.name = "make_volumes",
            .limit = std::chrono::seconds(s.config.operation_timeout),
            .run = {},
            .undo = {},
            .task = TaskState::kBlockDeviceMapping};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    for (const BlockDevice& device : ctx.instance().block_devices) {
      if (!is_volume(device)) continue;
      const auto volume = s.store.get<Volume>(device.volume_id);
      if (!volume) return fail(Code::kNotFound, fmt::format("Volume {} could not be found.", device.volume_id));
      if (device.source != BlockSource::kVolume) {
        const auto backend = s.volumes.backends.find(volume->backend);
        if (backend == s.volumes.backends.end()) return fail(Code::kInternal, "there is no volume back end " + volume->backend);
        CA_TRY(const VolumeSpec spec, volume_spec(s, *volume));
        CA_TRY_VOID(backend->second->create(spec));
      }
      CA_TRY_VOID(connect_volume(s, *volume));
      ctx.on_commit([device](Tx& tx, Instance& record) { return record_attached(tx, record, device); });
    }
    return {};
  };
  step.undo = [&s](StepContext& ctx) { return disconnect_all(s, ctx.instance()); };
  return step;
}

Step release_volumes_step(Services& s) {
  Step step{.name = "release_volumes", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY_VOID(disconnect_all(s, ctx.instance()));
    ctx.on_commit([&s](Tx& tx, Instance& record) { return release_all(s, tx, record); });
    return {};
  };
  return step;
}

}  // namespace ca
