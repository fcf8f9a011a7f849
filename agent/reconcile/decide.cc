#include "agent/reconcile/decide.h"

#include <fmt/format.h>

namespace ca {
namespace {

using Action = Decision::Action;

bool off(PowerState state) { return state == PowerState::kShutdown || state == PowerState::kCrashed || state == PowerState::kNoState; }

Decision seen_gone(const Instance& recorded) {
  switch (recorded.vm_state) {
    case VmState::kActive:
    case VmState::kPaused:
    case VmState::kSuspended:
    case VmState::kRescued:
      return {Action::kMarkStopped, PowerState::kShutdown, "its domain is not defined any more; starting it defines it again"};
    default:
      if (recorded.power_state == PowerState::kShutdown || recorded.power_state == PowerState::kNoState) return {};
      return {Action::kRecordPower, PowerState::kNoState, "its domain is not defined any more"};
  }
}

Decision seen_off(const Instance& recorded, PowerState state) {
  switch (recorded.vm_state) {
    case VmState::kActive:
    case VmState::kPaused:
    case VmState::kSuspended:
      return {Action::kMarkStopped, state, state == PowerState::kCrashed ? "the guest crashed" : "the guest is off, without an order of ours"};
    default: return {};
  }
}

Decision seen_running(const Instance& recorded) {
  switch (recorded.vm_state) {
    case VmState::kStopped: return {Action::kOrderStop, PowerState::kRunning, "it runs although it was stopped by order; it is stopped again"};
    case VmState::kPaused:
    case VmState::kSuspended: return {Action::kMarkActive, PowerState::kRunning, "it runs again, without an order of ours"};
    default: return {};
  }
}

}  // namespace

Decision decide(const Instance& recorded, const Seen& seen, bool has_open_operation) {
  if (seen.kind == Seen::Kind::kUnknown || has_open_operation || recorded.task_state != TaskState::kNone) return {};
  if (recorded.vm_state == VmState::kBuilding || recorded.vm_state == VmState::kDeleted) return {};
  Decision decision;
  if (seen.kind == Seen::Kind::kGone) {
    return seen_gone(recorded);
  } else if (off(seen.state)) {
    decision = seen_off(recorded, seen.state);
  } else if (seen.state == PowerState::kRunning) {
    decision = seen_running(recorded);
  } else if (seen.state == PowerState::kPaused && recorded.vm_state == VmState::kActive) {
    decision = {Action::kMarkPaused, seen.state, "the guest was paused, without an order of ours"};
  } else if (seen.state == PowerState::kSuspended && recorded.vm_state == VmState::kActive) {
    decision = {Action::kMarkSuspended, seen.state, "the guest was suspended, without an order of ours"};
  }
  if (decision.action == Action::kNothing && recorded.power_state != seen.state) {
    return {Action::kRecordPower, seen.state, fmt::format("power state is {}", to_string(seen.state))};
  }
  return decision;
}

}  // namespace ca
