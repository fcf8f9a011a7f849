#include "agent/verbs/steps.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

Step release_step(Services& s) {
  Step step = allocate_ports_step(s);
  step.name = "release";
  step.task = TaskState::kNone;
  // Giving ports back is what undoing their allocation does. The image of a shelved instance goes with it.
  step.run = [&s, give_back = step.undo](StepContext& ctx) -> Result<void> {
    CA_TRY_VOID(give_back(ctx));
    const Uuid image = ctx.instance().shelved_image_id;
    if (image.empty()) return {};
    CA_TRY_VOID(s.image_store.remove(image));
    ctx.on_commit([image](Tx& tx, Instance&) -> Result<void> {
      auto erased = tx.erase<ImageMeta>(image);
      return erased || erased.error().code != Code::kNotFound ? erased : Result<void>{};
    });
    return {};
  };
  step.undo = {};
  return step;
}

}  // namespace

Verb terminate_instance(Services& s) {
  Verb verb;
  verb.method = "terminate_instance";
  verb.action = "delete";
  verb.order = Order::kTerminate;
  verb.must_finish = true;
  verb.cancels_others = true;
  verb.steps = {power_off_step(s),        undefine_step(s),        unplug_ports_step(s),
                remove_directory_step(s), release_volumes_step(s), release_step(s)};
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kTerminate, message, tx));
    record.task_state = TaskState::kDeleting;
    return record;
  };
  verb.on_success = [&s](Tx& tx, Instance& record) -> Result<void> {
    CA_TRY_VOID(tx.erase<Instance>(record.uuid));
    record.vm_state = VmState::kDeleted;
    tx.after_commit([&s, uuid = record.uuid] { s.claims.release(uuid); });
    return {};
  };
  verb.on_failure = [](Tx&, Instance& record, const Fault& fault) -> Result<void> {
    record.vm_state = VmState::kError;
    record.task_state = TaskState::kNone;
    record.fault = fault;
    return {};
  };
  return verb;
}

}  // namespace ca
