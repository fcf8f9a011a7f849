// Shelved: off, with its disk kept as an image "<name>-shelved". Offloaded: nothing of it is left on the host but its ports' records.

#include <fmt/format.h>

#include "agent/core/records_json.h"
#include "agent/verbs/local_disks.h"
#include "agent/verbs/steps.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

constexpr const char* kImage = "shelved_image";
constexpr const char* kImageToRemove = "image_to_remove";

// The image is complete: what fails from here on leaves a shelved instance, which can be offloaded or unshelved.
Step note_shelved_step() {
  Step step{.name = "note_shelved", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [](StepContext& ctx) -> Result<void> {
    ctx.on_commit([id = ctx.op().args.at("image_id").get<std::string>()](Tx& tx, Instance& record) -> Result<void> {
      record.vm_state = VmState::kShelved;
      record.power_state = PowerState::kShutdown;
      record.shelved_image_id = id;
      record.shelved_us = tx.now_us();
      return {};
    });
    return {};
  };
  step.undo = [](StepContext& ctx) -> Result<void> {
    if (ctx.instance().vm_state != VmState::kShelved) return {};
    keep_image(ctx);
    mark_lost(ctx);
    return {};
  };
  return step;
}

std::vector<Step> offload_steps(Services& s) {
  Step first = undefine_step(s);
  first.task = TaskState::kShelvingOffloading;
  Step release = claim_step(s);
  release.name = "release_claim";
  release.run = release.undo;
  release.undo = {};
  return {std::move(first), unplug_ports_step(s), remove_directory_step(s), std::move(release)};
}

Result<void> now_shelved(Tx&, Instance& record) {
  record.task_state = TaskState::kNone;
  return {};
}

Result<void> now_offloaded(Tx&, Instance& record) {
  record.vm_state = VmState::kShelvedOffloaded;
  record.task_state = TaskState::kNone;
  record.power_state = PowerState::kNoState;
  record.local_disks.clear();
  return {};
}

// Nothing of what is undone may touch an instance that is back, or one that never left.
Step undo_while_offloaded(Step step) {
  if (!step.undo) return step;
  step.undo = [undo = step.undo](StepContext& ctx) -> Result<void> {
    if (is_lost(ctx) || ctx.instance().vm_state != VmState::kShelvedOffloaded) return {};
    return undo(ctx);
  };
  return step;
}

Step fetch_shelved_image_step(Services& s) {
  Step step = fetch_image_step(s);
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    if (instance.vm_state == VmState::kShelved) {
      const LocalDisk root = recorded_disks(s, instance).front();
      CA_TRY(DiskBackend* const backend, backend_of(s, root));
      CA_TRY(const auto bytes, backend->size(backend->address(instance.uuid, root.name)));
      if (bytes) return {};  // its disk was never taken away
    }
    const auto image = s.store.get<ImageMeta>(instance.shelved_image_id);
    if (!image) {
      return fail(Code::kNotFound, fmt::format("the image {} of the shelved instance {} is gone", instance.shelved_image_id, instance.uuid),
                  "delete the instance, or rebuild it elsewhere from another image");
    }
    ctx.scratch()[kImage] = to_json(*image);
    return fetch_base(s, *image);
  };
  return step;
}

// create_disk, where the disk was taken away.
Step create_disk_again_step(Services& s) {
  Step step = undo_while_offloaded(create_disk_step(s));
  step.run = [&s](StepContext& ctx) -> Result<void> {
    if (!ctx.scratch().contains(kImage)) return {};
    Instance made_of = ctx.instance();
    CA_TRY(made_of.image, image_from_json(ctx.scratch().at(kImage)));
    CA_TRY_VOID(make_disks(s, ctx, made_of));
    // The image goes once the instance runs again.
    return s.disks.takes_directly(made_of.image) ? s.disks.flatten(s.disks.address(made_of.uuid, "disk")) : Result<void>{};
  };
  return step;
}

Step start_again_step(Services& s) {
  Step step = start_step(s, true);
  step.undo = [undo = step.undo](StepContext& ctx) -> Result<void> { return is_lost(ctx) ? Result<void>{} : undo(ctx); };
  return step;
}

// The instance runs on its own disk again: from here on nothing is undone.
Step forget_image_step() {
  Step step{.name = "forget_image", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [](StepContext& ctx) -> Result<void> {
    const Uuid id = ctx.instance().shelved_image_id;
    ctx.scratch()[kImageToRemove] = id;
    ctx.on_commit([id](Tx& tx, Instance& record) -> Result<void> {
      if (auto erased = tx.erase<ImageMeta>(id); !erased && erased.error().code != Code::kNotFound) return erased;
      record.vm_state = VmState::kActive;
      record.power_state = PowerState::kRunning;
      record.shelved_image_id.clear();
      record.shelved_us = 0;
      return {};
    });
    return {};
  };
  step.undo = [](StepContext& ctx) -> Result<void> {
    if (ctx.instance().vm_state == VmState::kActive) mark_lost(ctx);
    return {};
  };
  return step;
}

Step remove_image_data_step(Services& s) {
  return {.name = "remove_image_data",
          .limit = std::chrono::seconds(600),
          .run = [&s](StepContext& ctx) -> Result<void> {
            const std::string id = ctx.scratch().value(kImageToRemove, "");
            return id.empty() ? Result<void>{} : s.image_store.remove(id);
          },
          .undo = {},
          .task = TaskState::kNone};
}

}  // namespace

Verb shelve_instance(Services& s) {
  Verb verb;
  verb.method = "shelve_instance";
  verb.action = "shelve";
  verb.order = Order::kShelve;
  verb.steps = {shutdown_step(s), take_down_step(s), copy_disk_step(s, TaskState::kShelvingImagePendingUpload),
                upload_image_step(s, TaskState::kShelvingImageUploading), note_shelved_step()};
  const bool offload = s.config.shelved_offload_time == 0;
  if (offload) {
    for (Step& step : offload_steps(s)) verb.steps.push_back(std::move(step));
  }
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_snapshot(Order::kShelve, message, tx));
    record.old_vm_state = record.vm_state;
    record.task_state = TaskState::kShelving;
    return record;
  };
  verb.on_success = offload ? now_offloaded : now_shelved;
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) { return settle_failed(s, tx, record, fault); };
  return verb;
}

Verb shelve_offload_instance(Services& s) {
  Verb verb;
  verb.method = "shelve_offload_instance";
  verb.action = "shelveOffload";
  verb.order = Order::kShelveOffload;
  verb.must_finish = true;
  verb.steps = {power_off_step(s)};
  for (Step& step : offload_steps(s)) verb.steps.push_back(std::move(step));
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kShelveOffload, message, tx));
    if (!tx.get<ImageMeta>(record.shelved_image_id)) {
      return fail(Code::kConflict,
                  fmt::format("instance {} can't be offloaded: its image {} is gone", record.uuid, record.shelved_image_id),
                  "unshelve the instance, which still has its disk");
    }
    record.task_state = TaskState::kShelvingOffloading;
    return record;
  };
  verb.on_success = now_offloaded;
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) { return settle_failed(s, tx, record, fault); };
  return verb;
}

Verb unshelve_instance(Services& s) {
  Verb verb;
  verb.method = "unshelve_instance";
  verb.action = "unshelve";
  verb.order = Order::kUnshelve;
  Step plug = undo_while_offloaded(plug_ports_step(s));
  plug.task = TaskState::kSpawning;
  verb.steps = {undo_while_offloaded(claim_step(s)),
                fetch_shelved_image_step(s),
                create_disk_again_step(s),
                undo_while_offloaded(create_config_drive_step(s)),
                std::move(plug),
                undo_while_offloaded(define_step(s, true)),
                start_again_step(s),
                forget_image_step(),
                remove_image_data_step(s)};
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kUnshelve, message, tx));
    record.task_state = TaskState::kUnshelving;
    return record;
  };
  verb.on_success = [](Tx& tx, Instance& record) -> Result<void> {
    record.old_vm_state = VmState::kActive;
    record.task_state = TaskState::kNone;
    record.launched_us = tx.now_us();
    record.fault.reset();
    return {};
  };
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) { return settle_failed(s, tx, record, fault); };
  return verb;
}

}  // namespace ca
