// An image of an instance's root disk: copied beside the disk, then taken into the image store.
//
// A running (or paused) guest goes on: QEMU mirrors the disk with all it is based on into the new file, and the mirror is cut off when
// it is complete. A disk at rest is converted. Where disks lie in a storage that can copy them, it does. Formats come from the record, for
// after the first boot a disk's content is hostile.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "agent/verbs/life.h"
#include "agent/verbs/local_disks.h"
#include "drivers/disk_convert.h"
#include "drivers/files/durable_file.h"

namespace ca {
namespace {

using Kind = DomainEvent::Kind;

constexpr const char* kKeep = "keep_image";
constexpr const char* kFormat = "snapshot_format";
constexpr const char* kLocation = "snapshot_location";
constexpr const char* kBytes = "snapshot_bytes";
constexpr std::chrono::seconds kLookAgain{2};  // where an event was lost

struct RootDisk {
  DiskBackend* backend = nullptr;
  std::string address;
  std::string path;  // empty where it is no file
  DiskFormat format = DiskFormat::kUnknown;
  std::int64_t bytes = 0;
};

Uuid image_id(const StepContext& ctx) { return ctx.op().args.at("image_id").get<std::string>(); }

// Beside the disk, so that QEMU, which may write nowhere else, can write it, and a delete of the instance removes it.
std::string copy_path(Services& s, const Uuid& uuid) { return s.paths.instance_dir(uuid) + "/disk.snapshot.part"; }

// What a disk outside of the host's files is copied to where a container of it is wanted.
std::string raw_path(Services& s, const Uuid& uuid) { return s.paths.instance_dir(uuid) + "/disk.snapshot.raw"; }

Result<RootDisk> root_disk(Services& s, const Instance& instance) {
  const std::vector<LocalDisk> disks = recorded_disks(s, instance);
  const auto recorded = std::ranges::find(disks, "disk", &LocalDisk::name);
  if (recorded == disks.end()) return fail(Code::kInvalid, fmt::format("instance {} has no root disk of its own", instance.uuid));
  CA_TRY(DiskBackend* const backend, backend_of(s, *recorded));
  const std::string address = backend->address(instance.uuid, recorded->name);
  const DiskSource source = backend->source(address);
  CA_TRY(const auto bytes, backend->size(address));
  if (!bytes) return fail(Code::kNotFound, fmt::format("instance {} has no disk {}", instance.uuid, address), "rebuild the instance");
  return RootDisk{backend, address, source.kind == DiskSource::Kind::kFile ? source.path : "", recorded->format, *bytes};
}

bool is_set(const Instance& instance, const char* property) {
  const auto found = instance.image.properties.find(property);
  return found != instance.image.properties.end() && (found->second == "yes" || found->second == "true" || found->second == "True");
}

// A guest that stays frozen, a job that goes on, a file, mark or image nobody wants: none of these outlives an attempt.
Result<void> clean_up(Services& s, const StepContext& ctx, const RootDisk& disk) {
  const Instance& instance = ctx.instance();
  CA_TRY(const PowerState state, seen_state(s, instance.uuid));
  if (!is_off(state) && is_set(instance, "hw_qemu_guest_agent")) {
    if (const auto thawed = s.hypervisor.thaw(instance.uuid); !thawed && thawed.error().code == Code::kUnavailable) return thawed;
  }
  if (disk.path.empty()) {
    CA_TRY_VOID(s.image_store.remove(image_id(ctx)));
    CA_TRY_VOID(disk.backend->forget_snapshot(disk.address, image_id(ctx)));
  } else if (!is_off(state)) {
    CA_TRY_VOID(s.hypervisor.end_block_job(instance.uuid, disk.path));
  }
  CA_TRY_VOID(remove_file(raw_path(s, instance.uuid)));
  return remove_file(copy_path(s, instance.uuid));
}

Result<void> wait_until_ready(Services& s, const StepContext& ctx, const std::string& disk) {
  const Uuid& uuid = ctx.instance().uuid;
  while (true) {
    DomainEvents::Waiter waiter(s.events, uuid, {Kind::kBlockJob, Kind::kStopped, Kind::kCrashed});
    CA_TRY(const BlockJob job, s.hypervisor.block_job(uuid, disk));
    if (job.ready) return {};
    if (!job.active) {
      return fail(Code::kExternal, fmt::format("the copy of {} broke off", disk),
                  fmt::format("look at the space on its file system and at /var/log/libvirt/qemu/{}.log", ctx.instance().domain()));
    }
    if (ctx.cancelled() || ctx.abandoned()) return fail(Code::kCancelled, "the copy was given up");
    waiter.wait(kLookAgain);
  }
}

// True: frozen. The guest's agent is asked where the image says that there is one; it must answer only where the image says so.
Result<bool> freeze(Services& s, const Instance& instance, PowerState state) {
  if (!is_set(instance, "hw_qemu_guest_agent") || state != PowerState::kRunning) return false;
  const auto frozen = s.hypervisor.freeze(instance.uuid);
  if (frozen) return true;
  if (frozen.error().code == Code::kUnavailable) return tl::unexpected<Error>(frozen.error());
  if (is_set(instance, "os_require_quiesce")) {
    return wrap(frozen.error(), fmt::format("instance {} can't be quiesced, which its image requires", instance.uuid),
                "look at the guest's qemu-guest-agent, or stop the instance first");
  }
  spdlog::warn("the snapshot of {} is taken without quiescing it: {}", instance.uuid, frozen.error().chain());
  return false;
}

Result<void> copy_running(Services& s, StepContext& ctx, const RootDisk& disk, DiskFormat format) {
  const Instance& instance = ctx.instance();
  CA_TRY_VOID(s.hypervisor.start_block_copy(instance.uuid, disk.path, copy_path(s, instance.uuid), format));
  CA_TRY_VOID(wait_until_ready(s, ctx, disk.path));
  CA_TRY(const PowerState state, seen_state(s, instance.uuid));
  CA_TRY(const bool frozen, freeze(s, instance, state));
  // Ended by another hand in between, the copy could be anything.
  const auto job = s.hypervisor.block_job(instance.uuid, disk.path);
  const auto ended = s.hypervisor.end_block_job(instance.uuid, disk.path);
  if (frozen) CA_TRY_VOID(s.hypervisor.thaw(instance.uuid));
  CA_TRY_VOID(ended);
  if (!job) return tl::unexpected<Error>(job.error());
  if (!job->ready) return fail(Code::kExternal, fmt::format("the copy of {} broke off when it was complete", disk.path));
  return {};
}

Result<void> copy_file(Services& s, StepContext& ctx, const RootDisk& disk, DiskFormat format) {
  const Uuid& uuid = ctx.instance().uuid;
  CA_TRY(const PowerState state, seen_state(s, uuid));
  if (is_off(state)) {
    return convert_disk(
        s.processes, s.config.qemu_img,
        {.from = disk.path, .from_format = disk.format, .to = copy_path(s, uuid), .to_format = format, .virtual_bytes = disk.bytes});
  }
  return copy_running(s, ctx, disk, format);
}

Result<void> mark(Services& s, const StepContext& ctx, const RootDisk& disk) {
  const Instance& instance = ctx.instance();
  CA_TRY(const PowerState state, seen_state(s, instance.uuid));
  CA_TRY(const bool frozen, freeze(s, instance, state));
  const auto marked = disk.backend->mark_snapshot(disk.address, image_id(ctx));
  if (frozen) CA_TRY_VOID(s.hypervisor.thaw(instance.uuid));
  CA_TRY(const bool can, marked);
  if (can) return {};
  return fail(Code::kInvalid, fmt::format("the disk {} can't be made an image", disk.address));
}

// The storage makes the image itself, raw, where it keeps images too; else the disk is fetched from it.
Result<DiskFormat> copy_in_storage(Services& s, StepContext& ctx, const RootDisk& disk, DiskFormat format) {
  const Uuid& uuid = ctx.instance().uuid;
  CA_TRY_VOID(mark(s, ctx, disk));
  CA_TRY(const auto image, disk.backend->snapshot(disk.address, image_id(ctx)));
  if (image) {
    ctx.scratch()[kLocation] = image->location;
    ctx.scratch()[kBytes] = image->size_bytes;
    format = DiskFormat::kRaw;
  } else {
    const std::string to = format == DiskFormat::kRaw ? copy_path(s, uuid) : raw_path(s, uuid);
    CA_TRY_VOID(disk.backend->export_snapshot(disk.address, image_id(ctx), to));
    if (format != DiskFormat::kRaw) {
      CA_TRY_VOID(convert_disk(
          s.processes, s.config.qemu_img,
          {.from = to, .from_format = DiskFormat::kRaw, .to = copy_path(s, uuid), .to_format = format, .virtual_bytes = disk.bytes}));
      CA_TRY_VOID(remove_file(to));
    }
  }
  CA_TRY_VOID(disk.backend->forget_snapshot(disk.address, image_id(ctx)));
  return format;
}

Result<DiskFormat> copy(Services& s, StepContext& ctx, const RootDisk& disk, DiskFormat format) {
  if (disk.path.empty()) return copy_in_storage(s, ctx, disk, format);
  CA_TRY_VOID(copy_file(s, ctx, disk, format));
  return format;
}

Result<void> erase_image(Tx& tx, const Uuid& id) {
  auto erased = tx.erase<ImageMeta>(id);
  if (!erased && erased.error().code == Code::kNotFound) return {};
  return erased;
}

RecordChange now_saving(const Uuid& id, DiskFormat format) {
  return [id, format](Tx& tx, Instance&) -> Result<void> {
    CA_TRY(ImageMeta image, tx.get<ImageMeta>(id));
    image.status = ImageStatus::kSaving;
    image.disk_format = format;
    image.updated_us = tx.now_us();
    return tx.put(image);
  };
}

RecordChange now_active(const Uuid& id, DiskFormat format, const StoredImage& stored) {
  return [id, format, stored](Tx& tx, Instance&) -> Result<void> {
    CA_TRY(ImageMeta image, tx.get<ImageMeta>(id));
    image.status = ImageStatus::kActive;
    image.disk_format = format;
    image.size_bytes = stored.size_bytes;
    image.virtual_size_bytes = stored.virtual_size_bytes;
    image.checksum = stored.md5;
    image.os_hash_algo = stored.sha512.empty() ? "" : "sha512";
    image.os_hash_value = stored.sha512;
    image.location = stored.location;
    image.updated_us = tx.now_us();
    return tx.put(image);
  };
}

bool kept(StepContext& ctx) { return ctx.scratch().value(kKeep, false); }

}  // namespace

void keep_image(StepContext& ctx) { ctx.scratch()[kKeep] = true; }

ImageMeta new_snapshot(const Instance& instance, const Uuid& id, const std::string& name, const std::string& type) {
  // nova's non_inheritable_image_properties, and what its snapshots say of another image.
  constexpr std::array kOwn{"cache_in_nova",
                            "bittorrent",
                            "img_signature",
                            "img_signature_hash_method",
                            "img_signature_key_type",
                            "img_signature_certificate_uuid",
                            "backup_type"};
  ImageMeta image;
  image.id = id;
  image.name = name;
  image.visibility = "private";
  image.owner = instance.project_id;
  image.min_ram_mib = instance.image.min_ram_mib;
  image.min_disk_gib = std::max(instance.image.min_disk_gib, instance.flavor.root_gib);
  image.properties = instance.image.properties;
  for (const char* property : kOwn) image.properties.erase(property);
  image.properties["image_type"] = type;
  image.properties["image_location"] = "snapshot";
  image.properties["image_state"] = "available";
  image.properties["instance_uuid"] = instance.uuid;
  image.properties["user_id"] = instance.user_id;
  image.properties["owner_id"] = instance.project_id;
  if (!instance.image.id.empty()) image.properties["base_image_ref"] = instance.image.id;
  return image;
}

Result<Instance> accept_snapshot(Order order, const Message& message, Tx& tx) {
  const Uuid id = message.args.at("image_id").get<std::string>();
  CA_TRY(const ImageMeta image, tx.get<ImageMeta>(id));
  if (image.status != ImageStatus::kQueued || image.disk_format != DiskFormat::kUnknown) {
    return fail(Code::kConflict, fmt::format("image {} does not wait for an instance's disk: it is {}", id, to_string(image.status)),
                "order a new image");
  }
  auto record = accept_order(order, message, tx);
  if (record) {
    if (auto local = check_local_root(*record, "An image of the root disk"); !local) record = tl::unexpected<Error>(local.error());
  }
  if (!record) CA_TRY_VOID(erase_image(tx, id));
  return record;
}

Step copy_disk_step(Services& s, TaskState task) {
  Step step{.name = "copy_disk", .limit = std::chrono::seconds(s.config.operation_timeout), .run = {}, .undo = {}, .task = task};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const RootDisk disk, root_disk(s, ctx.instance()));
    CA_TRY_VOID(clean_up(s, ctx, disk));
    const DiskFormat wanted = disk_format_from(s.config.snapshot_image_format);
    auto copied = copy(s, ctx, disk, wanted == DiskFormat::kUnknown ? disk.format : wanted);
    if (!copied) return wrap(std::move(copied).error(), fmt::format("cannot copy the root disk of {}", ctx.instance().uuid));
    ctx.scratch()[kFormat] = to_string(*copied);
    ctx.on_commit(now_saving(image_id(ctx), *copied));
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    if (kept(ctx)) return {};
    const auto disk = root_disk(s, ctx.instance());
    if (!disk && disk.error().code == Code::kUnavailable) return tl::unexpected<Error>(disk.error());
    if (disk) CA_TRY_VOID(clean_up(s, ctx, *disk));
    ctx.on_commit([id = image_id(ctx)](Tx& tx, Instance&) { return erase_image(tx, id); });
    return {};
  };
  return step;
}

Step upload_image_step(Services& s, TaskState task) {
  Step step{.name = "upload_image", .limit = std::chrono::seconds(s.config.operation_timeout), .run = {}, .undo = {}, .task = task};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const DiskFormat format = disk_format_from(ctx.scratch().value(kFormat, ""));
    if (ctx.scratch().contains(kLocation)) {
      const auto bytes = ctx.scratch().value(kBytes, std::int64_t{0});
      StoredImage in_pool{
          .size_bytes = bytes, .virtual_size_bytes = bytes, .md5 = {}, .sha512 = {}, .location = ctx.scratch().at(kLocation)};
      ctx.on_commit(now_active(image_id(ctx), format, in_pool));
      return {};
    }
    auto stored = s.image_store.take(image_id(ctx), format, copy_path(s, ctx.instance().uuid), s.config.max_image_bytes);
    if (!stored) return wrap(std::move(stored).error(), fmt::format("the image store refuses the snapshot of {}", ctx.instance().uuid));
    ctx.on_commit(now_active(image_id(ctx), format, *stored));
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    if (kept(ctx)) return {};
    return s.image_store.remove(image_id(ctx));
  };
  return step;
}

}  // namespace ca
