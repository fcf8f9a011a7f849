#pragma once
// What to do about one instance, from what is recorded and what the hypervisor shows. Pure: values in, one decision out. The rules
// are nova's (compute/manager.py, _sync_instance_power_state and _init_instance); where they differ, decide.cc says so.

#include <string>
#include <string_view>

#include "agent/core/states.h"

namespace ca {

struct RecordedState {
  VmState vm_state = VmState::kBuilding;
  TaskState task_state = TaskState::kNone;
  PowerState power_state = PowerState::kNoState;
  // An operation in the journal that has not ended, or a message for it that still waits: somebody works on it or will.
  bool has_work = false;
};

struct SeenState {
  enum class Kind {
    kUnknown,  // the hypervisor could not be asked; never the same as gone
    kGone,     // it answered that there is no such domain
    kPresent,
  };
  Kind kind = Kind::kUnknown;
  PowerState power_state = PowerState::kNoState;  // of kPresent

  static SeenState unknown() { return {}; }
  static SeenState gone() { return {Kind::kGone, PowerState::kNoState}; }
  static SeenState present(PowerState state) { return {Kind::kPresent, state}; }
};

struct Moment {
  bool starting = false;       // the first pass after the agent's start
  bool resume_guests = false;  // [DEFAULT] resume_guests_state_on_host_boot
};

enum class Action {
  kNothing,
  kRecordPowerState,  // vm_state stays
  kMarkStopped,       // record vm_state stopped; the domain is off already
  kMarkError,         // record vm_state error with the reason as fault
  kClearTask,         // record task_state none; nobody works on it any more
  kStop,              // order stop_instance: the domain runs and should not
  kStart,             // order start_instance
  kDelete,            // order terminate_instance again
  kRemoveDomain,      // destroy and undefine what is left of a deleted instance
};
[[nodiscard]] std::string_view to_string(Action action);

struct Decision {
  Action action = Action::kNothing;
  PowerState power_state = PowerState::kNoState;  // to be recorded with every action but kNothing
  std::string reason;                             // a sentence with the states
};

[[nodiscard]] Decision decide(const RecordedState& recorded, const SeenState& seen, const Moment& moment);

}  // namespace ca
