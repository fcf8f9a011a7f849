#include "agent/verbs/life.h"
#include "agent/verbs/verb_table.h"

namespace ca {

// Powered off at once, as nova's fallback does, and kept until it is restored or reclaim_instance_interval has passed.
Verb soft_delete_instance(Services& s) {
  Verb verb = plain_verb(s, "soft_delete_instance", "delete", Order::kSoftDelete, TaskState::kSoftDeleting);
  verb.steps = {power_off_step(s), forget_kept_step(s)};
  verb.on_success = [&s](Tx& tx, Instance& record) -> Result<void> {
    settle_confirmed(s, tx, record);
    record.vm_state = VmState::kSoftDeleted;
    record.task_state = TaskState::kNone;
    record.power_state = PowerState::kShutdown;
    // Powered off once more because somebody started it: the time it has left goes on.
    if (record.soft_deleted_us == 0) record.soft_deleted_us = tx.now_us();
    return {};
  };
  return verb;
}

// nova starts it, whatever it was before.
Verb restore_instance(Services& s) {
  Verb verb = plain_verb(s, "restore_instance", "restore", Order::kRestore, TaskState::kRestoring);
  Step plug = plug_ports_step(s);
  plug.undo = {};
  verb.steps = {std::move(plug), define_step(s, false), start_step(s, false)};
  verb.on_success = [](Tx& tx, Instance& record) -> Result<void> {
    record.soft_deleted_us = 0;
    return now_running(tx, record);
  };
  return verb;
}

}  // namespace ca
