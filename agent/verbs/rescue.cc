#include <fmt/format.h>

#include <algorithm>

#include "agent/core/records_json.h"
#include "agent/verbs/local_disks.h"
#include "agent/verbs/rescue_spec.h"
#include "agent/verbs/steps.h"
#include "agent/verbs/verb_table.h"
#include "drivers/files/durable_file.h"

namespace ca {
namespace {

constexpr const char* kImage = "rescue_image";
constexpr const char* kBytes = "rescue_bytes";
constexpr const char* kStorage = "rescue_storage";

// The rescue disk as it is recorded; of the back end for new disks where none is.
Result<DiskBackend*> rescue_backend(Services& s, const Instance& instance) {
  const auto disk = std::ranges::find(instance.local_disks, kRescueDisk, &LocalDisk::name);
  return disk == instance.local_disks.end() ? Result<DiskBackend*>(&s.disks) : backend_of(s, *disk);
}

Result<void> remove_rescue_files(Services& s, const Instance& instance, DiskBackend& backend) {
  CA_TRY_VOID(backend.remove(backend.address(instance.uuid, kRescueDisk)));
  return remove_file(rescue_config_drive(s, instance.uuid));
}

Step fetch_rescue_image_step(Services& s) {
  Step step = fetch_image_step(s);
  step.task = TaskState::kNone;
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const ImageMeta image, rescue_image_for(s, ctx.instance(), ctx.op().args.value("rescue_image_ref", "")));
    ctx.scratch()[kImage] = to_json(image);
    return fetch_base(s, image);
  };
  return step;
}

// As large as its image, as nova makes it: the flavor's size is that of the instance's own disk.
Result<std::int64_t> create_rescue_disk(Services& s, const Instance& instance, const ImageMeta& image) {
  const std::string address = s.disks.address(instance.uuid, kRescueDisk);
  // One of another image may have been left by an unrescue that could not remove it.
  CA_TRY_VOID(s.disks.remove(address));
  if (s.disks.takes_directly(image)) {
    CA_TRY_VOID(s.disks.create_from_image(image, address, image.virtual_size_bytes));
    return image.virtual_size_bytes;
  }
  CA_TRY(const HeldBase held, s.images.hold(image));
  CA_TRY_VOID(s.disks.create({.path = address,
                              .base_path = held.base.path,
                              .base_format = held.base.format,
                              .base_virtual_bytes = held.base.virtual_size_bytes,
                              .size_bytes = held.base.virtual_size_bytes}));
  return held.base.virtual_size_bytes;
}

Step create_rescue_disk_step(Services& s) {
  Step step{.name = "create_rescue_disk",
            .limit = std::chrono::seconds(s.config.operation_timeout),
            .run = {},
            .undo = {},
            .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    CA_TRY(const ImageMeta image, image_from_json(ctx.scratch().at(kImage)));
    CA_TRY(ctx.scratch()[kBytes], create_rescue_disk(s, instance, image));
    if (!instance.config_drive) return {};
    CA_TRY(const ConfigDriveFiles files, config_drive_files(s, instance, ctx.op().args.value("rescue_password", "")));
    return write_config_drive(rescue_config_drive(s, instance.uuid), files);
  };
  step.undo = [&s](StepContext& ctx) { return remove_rescue_files(s, ctx.instance(), s.disks); };
  return step;
}

Result<void> forget_rescue_disk(Services& s, StepContext& ctx) {
  std::vector<LocalDisk> disks = ctx.instance().local_disks;
  std::erase_if(disks, [](const LocalDisk& disk) { return disk.name == kRescueDisk; });
  if (!disks.empty()) CA_TRY_VOID(write_disk_info(s, ctx.instance().uuid, disks));
  ctx.on_commit([disks](Tx&, Instance& record) -> Result<void> {
    record.rescue_image.reset();
    record.local_disks = disks;
    return {};
  });
  return {};
}

// From here on the record describes the rescued guest, and so does the next definition.
Step enter_rescue_step(Services& s) {
  Step step{.name = "enter_rescue", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const ImageMeta image, image_from_json(ctx.scratch().at(kImage)));
    std::vector<LocalDisk> disks = recorded_disks(s, ctx.instance());
    disks.push_back({.name = kRescueDisk,
                     .storage = std::string(s.disks.storage()),
                     .format = s.disks.format(),
                     .size_bytes = ctx.scratch().value(kBytes, std::int64_t{0}),
                     .device_name = {},
                     .guest_format = {}});
    CA_TRY_VOID(write_disk_info(s, ctx.instance().uuid, disks));
    ctx.on_commit([image, disks](Tx&, Instance& record) -> Result<void> {
      record.rescue_image = image;
      record.local_disks = disks;
      return {};
    });
    return {};
  };
  step.undo = [&s](StepContext& ctx) { return forget_rescue_disk(s, ctx); };
  return step;
}

Step leave_rescue_step(Services& s) {
  Step step{.name = "leave_rescue", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    if (!instance.rescue_image) return {};
    ctx.scratch()[kImage] = to_json(*instance.rescue_image);
    ctx.scratch()["local_disks"] = to_json(instance).value("local_disks", Json::array());
    CA_TRY(DiskBackend* const backend, rescue_backend(s, instance));
    ctx.scratch()[kStorage] = std::string(backend->storage());
    return forget_rescue_disk(s, ctx);
  };
  step.undo = [](StepContext& ctx) -> Result<void> {
    if (is_lost(ctx) || !ctx.scratch().contains(kImage)) return {};
    CA_TRY(const ImageMeta image, image_from_json(ctx.scratch().at(kImage)));
    std::vector<LocalDisk> disks;
    for (const Json& entry : ctx.scratch().at("local_disks")) {
      CA_TRY(disks.emplace_back(), local_disk_from_json(entry));
    }
    ctx.on_commit([image, disks](Tx&, Instance& record) -> Result<void> {
      record.rescue_image = image;
      record.local_disks = disks;
      return {};
    });
    return {};
  };
  return step;
}

Step remove_rescue_disk_step(Services& s) {
  Step step{.name = "remove_rescue_disk", .limit = std::chrono::seconds(120), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(DiskBackend* const backend, s.disks_of(ctx.scratch().value(kStorage, std::string(s.disks.storage()))));
    return remove_rescue_files(s, ctx.instance(), *backend);
  };
  // There is nothing left to rescue with: the instance stays on its own disk.
  step.undo = [](StepContext& ctx) -> Result<void> {
    mark_lost(ctx);
    return {};
  };
  return step;
}

Step plug_again_step(Services& s) {
  Step step = plug_ports_step(s);
  step.undo = {};
  return step;
}

Result<void> now_unrescued(Tx&, Instance& record) {
  const bool stopped = record.old_vm_state == VmState::kStopped;
  record.vm_state = stopped ? VmState::kStopped : VmState::kActive;
  record.power_state = stopped ? PowerState::kShutdown : PowerState::kRunning;
  record.old_vm_state = VmState::kActive;
  record.task_state = TaskState::kNone;
  record.fault.reset();
  return {};
}

}  // namespace

Result<ImageMeta> rescue_image_for(Services& s, const Instance& instance, const Uuid& ordered) {
  Uuid id = ordered.empty() ? s.config.rescue_image_id : ordered;
  if (id.empty()) id = instance.image.id;
  if (id == instance.image.id) return instance.image;
  const auto image = s.store.get<ImageMeta>(id);
  if (!image) return fail(Code::kInvalid, fmt::format("Image {} could not be found.", id), "`computectl image list` shows the images");
  if (image->status != ImageStatus::kActive) {
    return fail(Code::kInvalid, fmt::format("Image {} is not active: its status is {}", id, to_string(image->status)),
                "rescue with another image");
  }
  return *image;
}

Verb rescue_instance(Services& s) {
  Verb verb;
  verb.method = "rescue_instance";
  verb.action = "rescue";
  verb.order = Order::kRescue;
  verb.steps = {fetch_rescue_image_step(s), create_rescue_disk_step(s), shutdown_step(s),      take_down_step(s),
                enter_rescue_step(s),       plug_again_step(s),         define_step(s, false), start_step(s, true)};
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kRescue, message, tx));
    CA_TRY_VOID(check_local_root(record, "Rescue"));
    record.old_vm_state = record.vm_state;
    record.task_state = TaskState::kRescuing;
    return record;
  };
  verb.on_success = [](Tx&, Instance& record) -> Result<void> {
    record.vm_state = VmState::kRescued;
    record.task_state = TaskState::kNone;
    record.power_state = PowerState::kRunning;
    return {};
  };
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) { return settle_failed(s, tx, record, fault); };
  return verb;
}

Verb unrescue_instance(Services& s) {
  Verb verb;
  verb.method = "unrescue_instance";
  verb.action = "unrescue";
  verb.order = Order::kUnrescue;
  // What was stopped before it was rescued is stopped again.
  const auto runs = [](const StepContext& ctx) { return ctx.op().scratch.value("runs", true); };
  Step down = take_down_step(s);
  down.run = [run = down.run](StepContext& ctx) -> Result<void> {
    ctx.scratch()["runs"] = ctx.instance().old_vm_state != VmState::kStopped;
    return run(ctx);
  };
  down.undo = [&s](StepContext& ctx) -> Result<void> {
    if (is_lost(ctx)) return {};
    CA_TRY_VOID(define_step(s, false).run(ctx));
    return start_step(s, false).run(ctx);
  };
  Step start = start_if_step(s, runs);
  start.undo = [undo = start.undo](StepContext& ctx) -> Result<void> { return is_lost(ctx) ? Result<void>{} : undo(ctx); };
  verb.steps = {std::move(down),       leave_rescue_step(s), plug_again_step(s),
                define_step(s, false), std::move(start),     remove_rescue_disk_step(s)};
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kUnrescue, message, tx));
    record.task_state = TaskState::kUnrescuing;
    return record;
  };
  verb.on_success = now_unrescued;
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) -> Result<void> {
    if (!record.rescue_image) CA_TRY_VOID(now_unrescued(tx, record));
    return settle_failed(s, tx, record, fault);
  };
  return verb;
}

}  // namespace ca
