// A new root disk for the same instance: id, ports, volumes and address stay. What the order renames (name, metadata, key) is in the
// record already; the message names the image.

#include <fmt/format.h>

#include "agent/core/records_json.h"
#include "agent/verbs/local_disks.h"
#include "agent/verbs/steps.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

constexpr const char* kImage = "image";
constexpr const char* kOldImage = "old_image";

Step fetch_new_image_step(Services& s) {
  Step step = fetch_image_step(s);
  step.task = TaskState::kNone;
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const ImageMeta image, rebuild_image_for(s, ctx.instance(), ctx.op().args.at("image_ref")));
    ctx.scratch()[kImage] = to_json(image);
    return fetch_base(s, image);
  };
  return step;
}

RecordChange set_image(const ImageMeta& image) {
  return [image](Tx&, Instance& record) -> Result<void> {
    record.image = image;
    return {};
  };
}

Step adopt_image_step() {
  Step step{.name = "adopt_image", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [](StepContext& ctx) -> Result<void> {
    CA_TRY(const ImageMeta image, image_from_json(ctx.scratch().at(kImage)));
    ctx.scratch()[kOldImage] = to_json(ctx.instance().image);
    ctx.on_commit(set_image(image));
    return {};
  };
  step.undo = [](StepContext& ctx) -> Result<void> {
    if (is_lost(ctx) || !ctx.scratch().contains(kOldImage)) return {};
    CA_TRY(const ImageMeta image, image_from_json(ctx.scratch().at(kOldImage)));
    ctx.on_commit(set_image(image));
    return {};
  };
  return step;
}

// The point of no return. Ephemeral disks stay where the order says so.
Step remove_disk_step(Services& s) {
  Step step{
      .name = "remove_disk", .limit = std::chrono::seconds(600), .run = {}, .undo = {}, .task = TaskState::kRebuildBlockDeviceMapping};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    const bool preserve = ctx.op().args.value("preserve_ephemeral", false);
    const std::vector<LocalDisk> disks = recorded_disks(s, instance);
    for (const LocalDisk& disk : disks) {
      if (preserve && disk.storage != s.disks.storage()) {
        return fail(
            Code::kConflict,
            fmt::format("{} of {} lies in {}, but new disks are made in {}", disk.name, instance.uuid, disk.storage, s.disks.storage()),
            "rebuild without preserving the ephemeral disks, or set [libvirt] images_type back");
      }
    }
    for (const LocalDisk& disk : disks) {
      if (preserve && disk.name != "disk") continue;
      CA_TRY(DiskBackend* const backend, backend_of(s, disk));
      CA_TRY_VOID(backend->remove(backend->address(instance.uuid, disk.name)));
    }
    return {};
  };
  step.undo = [](StepContext& ctx) -> Result<void> {
    mark_lost(ctx);
    return {};
  };
  return step;
}

Step without_undo(Step step, TaskState task) {
  step.undo = {};
  step.task = task;
  return step;
}

bool is_to_run(const StepContext& ctx) { return ctx.instance().old_vm_state != VmState::kStopped; }

}  // namespace

Result<ImageMeta> rebuild_image_for(Services& s, const Instance& instance, const Uuid& id) {
  const auto image = s.store.get<ImageMeta>(id);
  ImageMeta found;
  if (image) {
    found = *image;
  } else if (id == instance.image.id) {
    found = instance.image;  // deleted since; its base may still be there
  } else {
    return fail(Code::kInvalid, fmt::format("Image {} could not be found.", id), "`computectl image list` shows the images");
  }
  if (found.status != ImageStatus::kActive) {
    return fail(Code::kInvalid, fmt::format("Image {} is not active: its status is {}", id, to_string(found.status)),
                "upload its data first");
  }
  CA_TRY_VOID(check_image_fits(instance.flavor, found));
  return found;
}

Verb rebuild_instance(Services& s) {
  Verb verb;
  verb.method = "rebuild_instance";
  verb.action = "rebuild";
  verb.order = Order::kRebuild;
  verb.steps = {fetch_new_image_step(s),
                shutdown_step(s),
                take_down_step(s),
                adopt_image_step(),
                remove_disk_step(s),
                without_undo(create_disk_step(s), TaskState::kNone),
                without_undo(create_config_drive_step(s), TaskState::kNone),
                without_undo(plug_ports_step(s), TaskState::kRebuildSpawning),
                define_step(s, false),
                start_if_step(s, is_to_run)};
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kRebuild, message, tx));
    CA_TRY_VOID(check_local_root(record, "Rebuild"));
    record.old_vm_state = record.vm_state;
    record.task_state = TaskState::kRebuilding;
    return record;
  };
  verb.on_success = [](Tx& tx, Instance& record) -> Result<void> {
    const bool stopped = record.old_vm_state == VmState::kStopped;
    record.vm_state = stopped ? VmState::kStopped : VmState::kActive;
    record.power_state = stopped ? PowerState::kShutdown : PowerState::kRunning;
    record.old_vm_state = VmState::kActive;
    record.task_state = TaskState::kNone;
    record.launched_us = tx.now_us();
    record.fault.reset();
    return {};
  };
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) -> Result<void> {
    // Its old disk is gone, its new one incomplete or not started: another rebuild makes it whole.
    if (record.task_state != TaskState::kRebuilding) record.vm_state = VmState::kError;
    return settle_failed(s, tx, record, fault);
  };
  return verb;
}

}  // namespace ca
