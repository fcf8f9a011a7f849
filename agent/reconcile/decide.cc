#include "agent/reconcile/decide.h"

#include <fmt/format.h>

namespace ca {
namespace {

using Action = Decision::Action;

bool is_off(const Seen& seen) {
  return seen.kind == Seen::Kind::kThere && (seen.state == PowerState::kShutdown || seen.state == PowerState::kCrashed);
}

// Running, paused or suspended: it holds memory and may write to its disks.
bool is_up(const Seen& seen) { return seen.kind == Seen::Kind::kThere && !is_off(seen) && seen.state != PowerState::kNoState; }

bool is_running(const Seen& seen) { return seen.kind == Seen::Kind::kThere && seen.state == PowerState::kRunning; }

std::string words(const Instance& recorded, const Seen& seen) {
  return fmt::format("the instance is {} and its domain is {}", to_string(recorded.vm_state),
                     seen.kind == Seen::Kind::kGone ? "not defined" : to_string(seen.state));
}

Decision make(Action action, const Instance& recorded, const Seen& seen, std::string_view remark) {
  return {action, seen.state, words(recorded, seen) + ": " + std::string(remark)};
}

// vm_state stays as it is; the power state follows what is seen.
Decision follow(const Instance& recorded, const Seen& seen) {
  return {recorded.power_state == seen.state ? Action::kNothing : Action::kRecordPower, seen.state, words(recorded, seen)};
}

// nova only logs that the domain is gone. Here an instance without one is not called ACTIVE or PAUSED; a start defines it again.
Decision without_domain(const Instance& recorded, const Seen& seen) {
  return make(Action::kMarkStopped, recorded, seen, "starting it defines it again");
}

Decision decide_active(const Instance& recorded, const Seen& seen, const Moment& moment) {
  if (seen.kind == Seen::Kind::kGone) return without_domain(recorded, seen);
  if (is_off(seen)) {
    if (moment.starting && moment.resume_guests && recorded.power_state == PowerState::kRunning) {
      return make(Action::kOrderStart, recorded, seen, "it was running before the start and is started again");
    }
    return make(Action::kMarkStopped, recorded, seen, "it went off without an order of ours");
  }
  if (seen.state == PowerState::kSuspended) return make(Action::kOrderStop, recorded, seen, "it is stopped");
  // Paused: a snapshot, a full disk or an administrator does so for a while; nova leaves it alone (bug 1097806).
  return follow(recorded, seen);
}

}  // namespace

std::string_view to_string(Action action) {
  switch (action) {
    case Action::kNothing: return "nothing";
    case Action::kRecordPower: return "record power state";
    case Action::kMarkActive: return "mark active";
    case Action::kMarkStopped: return "mark stopped";
    case Action::kOrderStop: return "order stop";
    case Action::kOrderStart: return "order start";
    case Action::kOrderSoftDelete: return "order soft delete";
  }
  return "nothing";
}

Decision decide(const Instance& recorded, const Seen& seen, bool has_open_operation, const Moment& moment) {
  const auto leave = [&](const char* reason) { return Decision{Action::kNothing, seen.state, reason}; };
  if (seen.kind == Seen::Kind::kUnknown) return leave("libvirt cannot be asked");
  if (has_open_operation) return leave("an operation on the instance is under way");
  if (recorded.task_state != TaskState::kNone) return leave("a task of the instance is pending");
  switch (recorded.vm_state) {
    case VmState::kBuilding:
    case VmState::kDeleted: return leave("the instance is being built or deleted");
    case VmState::kActive: return decide_active(recorded, seen, moment);
    case VmState::kStopped: return is_up(seen) ? make(Action::kOrderStop, recorded, seen, "it is stopped again") : follow(recorded, seen);
    case VmState::kPaused:
      if (seen.kind == Seen::Kind::kGone) return without_domain(recorded, seen);
      if (is_off(seen)) return make(Action::kMarkStopped, recorded, seen, "it went off without an order of ours");
      return is_running(seen) ? make(Action::kMarkActive, recorded, seen, "it was resumed without an order of ours")
                              : follow(recorded, seen);
    case VmState::kSuspended:
      // Suspended to disk, its domain is off: that is as it should be. Without a domain its saved memory is gone too (libvirt drops
      // both or none), so nothing is left to resume.
      if (seen.kind == Seen::Kind::kGone) return without_domain(recorded, seen);
      return is_running(seen) ? make(Action::kMarkActive, recorded, seen, "it was resumed without an order of ours")
                              : follow(recorded, seen);
    case VmState::kSoftDeleted:
      // nova only warns; what its owner has deleted must not run until it is restored.
      return is_up(seen) ? make(Action::kOrderSoftDelete, recorded, seen, "it waits to be reclaimed and is powered off again")
                         : follow(recorded, seen);
    // Rescued, resized and in error: orders of the user decide (unrescue, confirm, revert, reset); confirmed, a resized one is what its
    // power state says. A shelved one has no guest. nova leaves all of them alone, too.
    case VmState::kRescued:
    case VmState::kResized:
    case VmState::kError:
    case VmState::kShelved:
    case VmState::kShelvedOffloaded: break;
  }
  return follow(recorded, seen);
}

}  // namespace ca
