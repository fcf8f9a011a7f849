#pragma once
// The one decision of the reconciler: what is recorded and what was seen, in; one action, out. Pure. Follows nova's
// _sync_instance_power_state (nova/compute/manager.py).

#include <string>

#include "agent/core/values.h"

namespace ca {

// What libvirt answered about one domain.
struct Seen {
  enum class Kind { kUnknown, kGone, kThere } kind = Kind::kUnknown;  // kUnknown: libvirt could not be asked
  PowerState state = PowerState::kNoState;
};

struct Decision {
  enum class Action {
    kNothing,
    kRecordPower,   // only power_state differs
    kMarkActive,    // vm_state active, power running
    kMarkStopped,   // the guest ended or was ended: vm_state stopped (SHUTOFF)
    kMarkPaused,
    kMarkSuspended,
    kMarkError,     // its domain is gone while it should exist
    kOrderStop,     // runs although it was stopped by order: nova stops it again
  };
  Action action = Action::kNothing;
  PowerState power = PowerState::kNoState;
  std::string reason;  // a sentence for the log and the event list
};

[[nodiscard]] Decision decide(const Instance& recorded, const Seen& seen, bool has_open_operation);

}  // namespace ca
