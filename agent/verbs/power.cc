#include "agent/verbs/life.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

Result<void> now_stopped(Tx&, Instance& record) {
  record.vm_state = VmState::kStopped;
  record.task_state = TaskState::kNone;
  record.power_state = PowerState::kShutdown;
  return {};
}

}  // namespace

// The domain is defined anew, as nova does: what was changed in the options or on the network takes effect.
Verb start_instance(Services& s) {
  Verb verb = plain_verb(s, "start_instance", "start", Order::kStart, TaskState::kPoweringOn);
  Step plug = plug_ports_step(s);
  plug.undo = {};
  verb.steps = {std::move(plug), define_step(s, false), start_step(s, false)};
  verb.on_success = now_running;
  return verb;
}

Verb stop_instance(Services& s) {
  Verb verb = plain_verb(s, "stop_instance", "stop", Order::kStop, TaskState::kPoweringOff);
  verb.steps = {shutdown_step(s), power_off_step(s)};
  verb.on_success = now_stopped;
  return verb;
}

// Soft: the guest is asked to end and is started again; one that does not listen is rebooted hard after
// wait_soft_reboot_seconds, as nova does.
Verb reboot_instance(Services& s) {
  Verb verb = plain_verb(s, "reboot_instance", "reboot", Order::kRebootHard, TaskState::kRebootStarted);
  Step plug = plug_ports_step(s);
  plug.undo = {};
  verb.steps = {shutdown_step(s), power_off_step(s), std::move(plug), define_step(s, false), start_step(s, false)};
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    const bool soft = message.args.at("reboot_type") == "SOFT";
    CA_TRY(Instance record, accept_order(soft ? Order::kRebootSoft : Order::kRebootHard, message, tx));
    record.task_state = soft ? TaskState::kRebootStarted : TaskState::kRebootStartedHard;
    return record;
  };
  verb.on_success = now_running;
  return verb;
}

}  // namespace ca
