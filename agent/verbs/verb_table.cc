#include "agent/verbs/verb_table.h"

#include "agent/verbs/steps.h"

namespace ca {

void add_verbs(Journal& journal, Services& s) {
  journal.add(build_and_run_instance(s));
  journal.add(terminate_instance(s));
  journal.add(start_instance(s));
  journal.add(stop_instance(s));
  journal.add(reboot_instance(s));
  journal.add(rescue_instance(s));
  journal.add(unrescue_instance(s));
  journal.add(rebuild_instance(s));
  journal.add(snapshot_instance(s));
  journal.add(backup_instance(s));
  journal.add(shelve_instance(s));
  journal.add(shelve_offload_instance(s));
  journal.add(unshelve_instance(s));
  journal.add(pause_instance(s));
  journal.add(unpause_instance(s));
  journal.add(suspend_instance(s));
  journal.add(resume_instance(s));
  journal.add(soft_delete_instance(s));
  journal.add(restore_instance(s));
  journal.add(trigger_crash_dump(s));
  journal.add(set_admin_password(s));
  journal.add(resize_instance(s));
  journal.add(confirm_resize(s));
  journal.add(revert_resize(s));
  journal.add(attach_volume(s));
  journal.add(detach_volume(s));
  journal.add(extend_volume(s));
}

Result<Instance> accept_order(Order order, const Message& message, Tx& tx) {
  const Uuid uuid = message.args.at("instance").at("uuid").get<std::string>();
  auto record = tx.get<Instance>(uuid);
  if (!record) {
    return fail(Code::kNotFound, "Instance " + uuid + " could not be found.", "`computectl server list` shows the instances");
  }
  CA_TRY_VOID(check_order(order, record->vm_state, record->task_state, uuid));
  return record;
}

Result<void> settle_failed(Services&, Tx&, Instance& record, const Fault& fault) {
  // What the domain really does is looked at right after, when the strand is free (reconcile).
  record.task_state = TaskState::kNone;
  record.fault = fault;
  return {};
}

}  // namespace ca
