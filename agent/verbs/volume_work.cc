#include "agent/verbs/volume_work.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/domainxml/disk_device.h"
#include "agent/runtime/fault_point.h"
#include "agent/verbs/volume_connections.h"
#include "agent/verbs/volume_disks.h"
#include "agent/verbs/volume_records.h"
#include "drivers/files/durable_file.h"

namespace ca {
namespace {

constexpr int kTries = 6;

bool unfinished(const std::string& status) { return status == "creating" || status == "deleting" || status == "extending"; }

Result<void> finish(Store& store, const Uuid& id, const std::function<void(Volume&)>& change) {
  return store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(Volume volume, get_volume(tx, id));
    change(volume);
    return put_volume(tx, volume);
  });
}

Result<void> finish_snapshot(Store& store, const Uuid& id, const std::string& status, const std::string& fault) {
  return store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(VolumeSnapshot snapshot, tx.get<VolumeSnapshot>(id));
    snapshot.status = status;
    snapshot.fault = fault;
    snapshot.updated_us = tx.now_us();
    return tx.put(snapshot);
  });
}

}  // namespace

Result<VolumeSpec> volume_spec(Services& s, const Volume& volume) {
  VolumeSpec spec;
  spec.id = volume.id;
  spec.size_bytes = volume.size_gib * kBytesOfGib;
  spec.snapshot_id = volume.snapshot_id;
  spec.source_volume_id = volume.source_volume_id;
  if (volume.image_id.empty()) return spec;
  const auto image = s.store.get<ImageMeta>(volume.image_id);
  if (!image)
    return fail(Code::kNotFound, fmt::format("Image {} could not be found.", volume.image_id), "`computectl image list` shows the images");
  CA_TRY(const BaseImage base, s.images.fetch(*image));
  if (base.format != DiskFormat::kRaw) {
    return fail(Code::kInvalid,
                fmt::format("image {} is kept as {}, and a volume is made of a raw base", image->id, to_string(base.format)),
                "set force_raw_images = true, or use a raw image");
  }
  spec.image_path = base.path;
  return spec;
}

void VolumeWork::work_on(const Uuid& id) {
  {
    const std::lock_guard lock(mutex_);
    if (!busy_.insert(id).second) return;
  }
  run(id, 0);
}

void VolumeWork::run(const Uuid& id, int tries) {
  workers_.submit([this, id, tries](TaskLease& lease) {
    const auto limit = std::chrono::seconds(s_.config.operation_timeout);
    const bool leased = lease.rearm(limit, [id, limit] {
      spdlog::error("the work on volume or snapshot {} did not end within {} s; it is taken up again when the agent is started again", id,
                    limit.count());
    });
    if (!leased) return;
    auto done = carry_out(id);
    if (!lease.disarm()) return;
    const bool wait = !done && done.error().code == Code::kUnavailable;
    if (wait || (!done && tries + 1 < kTries && done.error().code == Code::kConflict)) {
      if (tries == 0) spdlog::warn("the work on {} waits: {}", id, done.error().chain());
      again_later(id, wait ? std::min(tries + 1, kTries - 1) : tries + 1);
      return;
    }
    if (!done) {
      spdlog::error("the work on {} failed: {}; {}", id, done.error().chain(), done.error().action());
      if (auto told = give_up(id, done.error()); !told) spdlog::error("and that could not be recorded: {}", told.error().chain());
    }
    const std::lock_guard lock(mutex_);
    busy_.erase(id);
  });
}

void VolumeWork::again_later(const Uuid& id, int tries) {
  timers_.after(std::chrono::milliseconds(std::int64_t{250} << std::min(tries, 6)), [this, id, tries] { run(id, tries); });
}

Result<void> VolumeWork::recover() {
  CA_TRY_VOID(s_.store.write(Durability::kOrdered, [](Tx& tx) -> Result<void> {
    CA_TRY(const auto volumes, tx.all<Volume>());
    for (const Volume& volume : volumes) {
      for (const VolumeAttachment& attachment : volume.attachments) {
        const auto instance = tx.get<Instance>(attachment.instance_uuid);
        if (instance || instance.error().code != Code::kNotFound) continue;
        CA_TRY_VOID(release_volume(tx, volume.id, attachment.instance_uuid, false));
      }
    }
    return {};
  }));
  CA_TRY_VOID(remove_stray_keys(s_));
  for (const auto& volume : s_.store.all<Volume>()) {
    if (unfinished(volume->status) && volume->attachments.empty()) work_on(volume->id);
  }
  for (const auto& snapshot : s_.store.all<VolumeSnapshot>()) {
    if (unfinished(snapshot->status)) work_on(snapshot->id);
  }
  return {};
}

Result<void> VolumeWork::carry_out(const Uuid& id) {
  if (const auto volume = s_.store.get<Volume>(id)) return carry_out(*volume);
  if (const auto snapshot = s_.store.get<VolumeSnapshot>(id)) return carry_out(*snapshot);
  return {};
}

Result<VolumeBackend*> VolumeWork::backend(const Volume& volume) {
  const auto found = s_.volumes.backends.find(volume.backend);
  if (found != s_.volumes.backends.end()) return found->second.get();
  return fail(Code::kInvalid, fmt::format("volume {} lies in back end '{}', which this agent does not have", volume.id, volume.backend),
              "start the agent with the configuration that the volume was made with");
}

Result<void> VolumeWork::create(const Volume& volume) {
  CA_TRY(VolumeBackend* const store, backend(volume));
  CA_TRY(const VolumeSpec spec, volume_spec(s_, volume));
  CA_TRY_VOID(fault::hit("volume/create:before"));
  CA_TRY_VOID(store->create(spec));
  CA_TRY_VOID(fault::hit("volume/create:ran"));
  return finish(s_.store, volume.id, [](Volume& v) { v.status = "available"; });
}

Result<void> VolumeWork::carry_out(const Volume& volume) {
  if (volume.status == "creating") return create(volume);
  if (volume.status == "deleting") {
    CA_TRY_VOID(fault::hit("volume/delete:before"));
    if (volume.backend == "connected") {
      CA_TRY_VOID(disconnect_volume(s_, volume));
      CA_TRY_VOID(remove_file(s_.paths.volume_secret(volume.id)));
    } else {
      CA_TRY(VolumeBackend* const store, backend(volume));
      CA_TRY_VOID(store->remove(volume.id));
    }
    CA_TRY_VOID(fault::hit("volume/delete:ran"));
    return s_.store.write(Durability::kFsync, [&](Tx& tx) { return tx.erase<Volume>(volume.id); });
  }
  if (volume.status != "extending" || !volume.attachments.empty()) return {};
  CA_TRY(VolumeBackend* const store, backend(volume));
  CA_TRY_VOID(fault::hit("volume/extend:before"));
  CA_TRY_VOID(store->extend(volume.id, volume.size_gib * kBytesOfGib));
  CA_TRY_VOID(fault::hit("volume/extend:ran"));
  return finish(s_.store, volume.id, [](Volume& v) { v.status = "available"; });
}

// A running guest's writes would tear a plain copy; its QEMU gives the volume as it is at one moment.
Result<void> VolumeWork::copy_from_guest(const Volume& volume, const VolumeSnapshot& snapshot) {
  CA_TRY(VolumeBackend* const store, backend(volume));
  CA_TRY(const auto path, store->begin_live_snapshot(snapshot.id, volume.id));
  if (!path) return store->create_snapshot(snapshot.id, volume.id);
  for (const VolumeAttachment& attachment : volume.attachments) {
    auto xml = s_.hypervisor.domain_xml(attachment.instance_uuid);
    if (!xml && xml.error().code == Code::kNotFound) continue;
    if (!xml) return tl::unexpected<Error>(std::move(xml).error());
    CA_TRY(const PowerState state, s_.hypervisor.power_state(attachment.instance_uuid));
    CA_TRY(const std::string target, disk_target(*xml, volume.id));
    if (target.empty() || state == PowerState::kShutdown || state == PowerState::kCrashed) continue;
    CA_TRY_VOID(s_.hypervisor.copy_disk(attachment.instance_uuid, target, *path, std::chrono::seconds(s_.config.operation_timeout)));
    return store->finish_live_snapshot(snapshot.id);
  }
  CA_TRY_VOID(remove_file(*path));
  return store->create_snapshot(snapshot.id, volume.id);
}

Result<void> VolumeWork::snapshot_content(const VolumeSnapshot& snapshot) {
  const auto volume = s_.store.get<Volume>(snapshot.volume_id);
  if (!volume) return fail(Code::kNotFound, fmt::format("Volume {} could not be found.", snapshot.volume_id));
  CA_TRY(VolumeBackend* const store, backend(*volume));
  return volume->attachments.empty() ? store->create_snapshot(snapshot.id, volume->id) : copy_from_guest(*volume, snapshot);
}

Result<void> VolumeWork::carry_out(const VolumeSnapshot& snapshot) {
  if (snapshot.status == "creating") {
    CA_TRY_VOID(fault::hit("snapshot/create:before"));
    CA_TRY_VOID(snapshot_content(snapshot));
    CA_TRY_VOID(fault::hit("snapshot/create:ran"));
    return finish_snapshot(s_.store, snapshot.id, "available", "");
  }
  if (snapshot.status != "deleting") return {};
  const auto volume = s_.store.get<Volume>(snapshot.volume_id);
  if (volume) {
    CA_TRY(VolumeBackend* const store, backend(*volume));
    CA_TRY_VOID(fault::hit("snapshot/delete:before"));
    CA_TRY_VOID(store->remove_snapshot(snapshot.id, volume->id));
    CA_TRY_VOID(fault::hit("snapshot/delete:ran"));
  }
  return s_.store.write(Durability::kFsync, [&](Tx& tx) { return tx.erase<VolumeSnapshot>(snapshot.id); });
}

// The status says which work failed, as Cinder's does; why is in `fault`.
Result<void> VolumeWork::give_up(const Uuid& id, const Error& error) {
  const std::string why = error.chain() + "; " + error.action();
  if (const auto snapshot = s_.store.get<VolumeSnapshot>(id)) {
    return finish_snapshot(s_.store, id, snapshot->status == "deleting" ? "error_deleting" : "error", why);
  }
  std::int64_t real_bytes = 0;
  if (const auto volume = s_.store.get<Volume>(id); volume && volume->status == "extending") {
    CA_TRY(VolumeBackend* const store, backend(*volume));
    if (const auto bytes = store->size(id); bytes && *bytes) real_bytes = **bytes;
  }
  return finish(s_.store, id, [&](Volume& volume) {
    volume.fault = why;
    if (volume.status == "extending") {
      volume.status = "error_extending";
      if (real_bytes > 0) volume.size_gib = real_bytes / kBytesOfGib;
    } else {
      volume.status = volume.status == "deleting" ? "error_deleting" : "error";
    }
  });
}

}  // namespace ca
