#include <fmt/format.h>

#include "agent/core/records_json.h"
#include "agent/verbs/rescue_spec.h"
#include "agent/verbs/steps.h"
#include "agent/verbs/verb_table.h"
#include "drivers/files/durable_file.h"

namespace ca {
namespace {

constexpr const char* kImage = "rescue_image";

Result<void> remove_rescue_files(Services& s, const Uuid& uuid) {
  CA_TRY_VOID(s.disks.remove(s.disks.address(uuid, kRescueDisk)));
  return remove_file(rescue_config_drive(s, uuid));
}

Step fetch_rescue_image_step(Services& s) {
  Step step = fetch_image_step(s);
  step.task = TaskState::kNone;
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const ImageMeta image, rescue_image_for(s, ctx.instance(), ctx.op().args.value("rescue_image_ref", "")));
    ctx.scratch()[kImage] = to_json(image);
    return fetch_base(s, ctx, image);
  };
  return step;
}

Step create_rescue_disk_step(Services& s) {
  Step step{.name = "create_rescue_disk",
            .limit = std::chrono::seconds(s.config.operation_timeout),
            .run = {},
            .undo = {},
            .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    const Json base = ctx.scratch().value("base", Json::object());
    // As large as its image, as nova makes it: the flavor's size is that of the instance's own disk.
    const std::int64_t bytes = base.value("bytes", std::int64_t{0});
    const DiskSpec spec{.path = s.disks.address(instance.uuid, kRescueDisk),
                        .base_path = base.value("path", ""),
                        .base_format = disk_format_from(base.value("format", "")),
                        .base_virtual_bytes = bytes,
                        .size_bytes = bytes};
    // One of another image may have been left by an unrescue that could not remove it.
    CA_TRY_VOID(s.disks.remove(spec.path));
    CA_TRY_VOID(s.disks.create(spec));
    if (!instance.config_drive) return {};
    CA_TRY(const ConfigDriveFiles files, config_drive_files(s, instance, ctx.op().args.value("rescue_password", "")));
    return write_config_drive(rescue_config_drive(s, instance.uuid), files);
  };
  step.undo = [&s](StepContext& ctx) { return remove_rescue_files(s, ctx.instance().uuid); };
  return step;
}

void forget_rescue(Instance& record) {
  record.rescue_image.reset();
  std::erase_if(record.local_disks, [](const LocalDisk& disk) { return disk.name == kRescueDisk; });
}

RecordChange remember_rescue(Services& s, const ImageMeta& image, std::int64_t bytes) {
  const LocalDisk disk{.name = kRescueDisk,
                       .storage = std::string(s.disks.storage()),
                       .format = s.disks.format(),
                       .size_bytes = bytes,
                       .device_name = {},
                       .guest_format = {}};
  return [image, disk](Tx&, Instance& record) -> Result<void> {
    forget_rescue(record);
    record.rescue_image = image;
    record.local_disks.push_back(disk);
    return {};
  };
}

// From here on the record describes the rescued guest, and so does the next definition.
Step enter_rescue_step(Services& s) {
  Step step{.name = "enter_rescue", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const ImageMeta image, image_from_json(ctx.scratch().at(kImage)));
    ctx.on_commit(remember_rescue(s, image, ctx.scratch().at("base").value("bytes", std::int64_t{0})));
    return {};
  };
  step.undo = [](StepContext& ctx) -> Result<void> {
    ctx.on_commit([](Tx&, Instance& record) -> Result<void> {
      forget_rescue(record);
      return {};
    });
    return {};
  };
  return step;
}

Step leave_rescue_step() {
  Step step{.name = "leave_rescue", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    if (!instance.rescue_image) return {};
    ctx.scratch()[kImage] = to_json(*instance.rescue_image);
    ctx.scratch()["local_disks"] = to_json(instance).value("local_disks", Json::array());
    ctx.on_commit([](Tx&, Instance& record) -> Result<void> {
      forget_rescue(record);
      return {};
    });
    return {};
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
  step.run = [&s](StepContext& ctx) { return remove_rescue_files(s, ctx.instance().uuid); };
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
  verb.steps = {std::move(down),       leave_rescue_step(), plug_again_step(s),
                define_step(s, false), std::move(start),    remove_rescue_disk_step(s)};
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
