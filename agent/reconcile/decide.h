#pragma once
// The one decision of the reconciler: what is recorded and what was seen, in; one action, out. Pure. Follows nova's
// _sync_instance_power_state and _init_instance (nova/compute/manager.py); decide.cc says where it does not.

#include <string>
#include <string_view>

#include "agent/core/values.h"

namespace ca {

// What libvirt answered about one domain.
struct Seen {
  enum class Kind {
    kUnknown,  // libvirt could not be asked, which never means gone
    kGone,     // it answered that there is no such domain
    kThere,
  } kind = Kind::kUnknown;
  PowerState state = PowerState::kNoState;  // of kThere
};

struct Moment {
  bool starting = false;       // the first pass after the agent's start
  bool resume_guests = false;  // [DEFAULT] resume_guests_state_on_host_boot
};

struct Decision {
  enum class Action {
    kNothing,
    kRecordPower,      // only power_state differs
    kMarkActive,       // vm_state active: it runs again, without an order of ours
    kMarkStopped,      // vm_state stopped (SHUTOFF): the guest ended, was ended, or its domain is gone
    kOrderStop,        // its domain is up although it should be off
    kOrderStart,       // it was running before this start
    kOrderSoftDelete,  // its domain is up although it waits to be reclaimed
  };
  Action action = Action::kNothing;
  PowerState power = PowerState::kNoState;  // to be recorded with every action but kNothing
  std::string reason;                       // a sentence for the log and the event list
};
[[nodiscard]] std::string_view to_string(Decision::Action action);

[[nodiscard]] Decision decide(const Instance& recorded, const Seen& seen, bool has_open_operation, const Moment& moment = {});

}  // namespace ca
