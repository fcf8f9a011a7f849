#include "agent/reconcile/decide.h"

#include <fmt/format.h>

namespace ca {
namespace {

bool is_off(const SeenState& seen) {
  return seen.kind == SeenState::Kind::kPresent &&
         (seen.power_state == PowerState::kShutdown || seen.power_state == PowerState::kCrashed);
}

// Running, paused or suspended: it holds memory and may write to its disks.
bool is_alive(const SeenState& seen) {
  return seen.kind == SeenState::Kind::kPresent && !is_off(seen) && seen.power_state != PowerState::kNoState;
}

std::string words(const SeenState& seen) {
  return seen.kind == SeenState::Kind::kGone ? "gone" : std::string(to_string(seen.power_state));
}

Decision make(Action action, const SeenState& seen, std::string reason) { return {action, seen.power_state, std::move(reason)}; }

// vm_state stays as it is; the power state follows what is seen.
Decision follow(const RecordedState& recorded, const SeenState& seen, std::string_view remark = {}) {
  std::string reason = fmt::format("the instance is {} and its domain is {}", to_string(recorded.vm_state), words(seen));
  if (!remark.empty()) reason += fmt::format(": {}", remark);
  const bool same = recorded.power_state == seen.power_state;
  return make(same ? Action::kNothing : Action::kRecordPowerState, seen, std::move(reason));
}

// A task that nobody works on. Only a start can tell: while the agent runs, the message may be on its way (nova skips these too).
Decision decide_abandoned(const RecordedState& recorded, const SeenState& seen, const Moment& moment) {
  const std::string task = recorded.task_state == TaskState::kNone ? "building" : std::string(to_string(recorded.task_state));
  if (!moment.starting) return make(Action::kNothing, seen, fmt::format("task {} is pending", task));
  if (recorded.task_state == TaskState::kDeleting) {
    return make(Action::kDelete, seen, "the instance was being deleted and nobody works on it any more");
  }
  if (recorded.vm_state == VmState::kBuilding) {
    return make(Action::kMarkError, seen, fmt::format("the build was lost in task {}", task));
  }
  return make(Action::kClearTask, seen, fmt::format("task {} was left behind and nobody works on it any more", task));
}

Decision decide_active(const RecordedState& recorded, const SeenState& seen, const Moment& moment) {
  // nova only logs this. Here an instance that has no domain is not called ACTIVE.
  if (seen.kind == SeenState::Kind::kGone) {
    return make(Action::kMarkError, seen, "the instance is active but its domain is gone");
  }
  if (is_off(seen)) {
    if (moment.starting && moment.resume_guests && recorded.power_state == PowerState::kRunning) {
      return make(Action::kStart, seen,
                  fmt::format("the instance was running before the start and its domain is {}", words(seen)));
    }
    // nova orders a stop here, which finds the domain off and records the same.
    return make(Action::kMarkStopped, seen, fmt::format("the instance is active but its domain is {}", words(seen)));
  }
  if (seen.power_state == PowerState::kSuspended) {
    return make(Action::kStop, seen, "the instance is active but its domain is suspended");
  }
  if (seen.power_state == PowerState::kPaused) return follow(recorded, seen, "something outside paused it");
  return follow(recorded, seen);
}

}  // namespace

std::string_view to_string(Action action) {
  switch (action) {
    case Action::kNothing: return "nothing";
    case Action::kRecordPowerState: return "record power state";
    case Action::kMarkStopped: return "mark stopped";
    case Action::kMarkError: return "mark error";
    case Action::kClearTask: return "clear task";
    case Action::kStop: return "stop";
    case Action::kStart: return "start";
    case Action::kDelete: return "delete";
    case Action::kRemoveDomain: return "remove domain";
  }
  return "nothing";
}

Decision decide(const RecordedState& recorded, const SeenState& seen, const Moment& moment) {
  if (seen.kind == SeenState::Kind::kUnknown) return make(Action::kNothing, seen, "the hypervisor cannot be asked");
  if (recorded.has_work) return make(Action::kNothing, seen, "an operation on the instance is under way");
  if (recorded.vm_state == VmState::kDeleted) {
    if (seen.kind == SeenState::Kind::kGone) return make(Action::kNothing, seen, "the instance is deleted and its domain is gone");
    return make(Action::kRemoveDomain, seen, fmt::format("the instance is deleted but its domain is {}", words(seen)));
  }
  if (recorded.task_state != TaskState::kNone || recorded.vm_state == VmState::kBuilding) {
    return decide_abandoned(recorded, seen, moment);
  }
  switch (recorded.vm_state) {
    case VmState::kActive: return decide_active(recorded, seen, moment);
    case VmState::kStopped:
      if (is_alive(seen)) {
        return make(Action::kStop, seen, fmt::format("the instance is stopped but its domain is {}", words(seen)));
      }
      return follow(recorded, seen);
    case VmState::kPaused:
      if (seen.kind == SeenState::Kind::kGone) {
        return make(Action::kMarkError, seen, "the instance is paused but its domain is gone");
      }
      if (is_off(seen)) return make(Action::kMarkStopped, seen, fmt::format("the instance is paused but its domain is {}", words(seen)));
      return follow(recorded, seen);
    default: return follow(recorded, seen);
  }
}

}  // namespace ca
