#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "agent/reconcile/decide.h"

namespace ca {
namespace {

using Action = Decision::Action;

constexpr std::array kVmStates{VmState::kBuilding, VmState::kActive,  VmState::kPaused,  VmState::kSuspended,
                               VmState::kStopped,  VmState::kRescued, VmState::kResized, VmState::kSoftDeleted,
                               VmState::kDeleted,  VmState::kError,   VmState::kShelved, VmState::kShelvedOffloaded};
constexpr std::array kTasks{TaskState::kNone,
                            TaskState::kScheduling,
                            TaskState::kBlockDeviceMapping,
                            TaskState::kNetworking,
                            TaskState::kSpawning,
                            TaskState::kPoweringOn,
                            TaskState::kPoweringOff,
                            TaskState::kRebooting,
                            TaskState::kRebootPending,
                            TaskState::kRebootStarted,
                            TaskState::kRebootingHard,
                            TaskState::kRebootPendingHard,
                            TaskState::kRebootStartedHard,
                            TaskState::kDeleting};
constexpr std::array kPowers{PowerState::kNoState,  PowerState::kRunning, PowerState::kPaused,
                             PowerState::kShutdown, PowerState::kCrashed, PowerState::kSuspended};

Instance recorded_as(VmState vm, TaskState task, PowerState power) {
  Instance instance;
  instance.vm_state = vm;
  instance.task_state = task;
  instance.power_state = power;
  return instance;
}

// In the order of the table's columns below.
std::vector<Seen> all_seen() {
  std::vector<Seen> all{{Seen::Kind::kGone, PowerState::kNoState}};
  for (const PowerState power : kPowers) all.push_back({Seen::Kind::kThere, power});
  return all;
}

bool is_off(const Seen& seen) { return seen.state == PowerState::kShutdown || seen.state == PowerState::kCrashed; }

// Every combination of what can be recorded, seen and configured.
template <typename Check>
void for_all(Check check) {
  std::vector<Seen> seen_too = all_seen();
  seen_too.push_back({});
  for (const VmState vm : kVmStates) {
    for (const TaskState task : kTasks) {
      for (const PowerState power : kPowers) {
        for (const Seen& seen : seen_too) {
          for (const bool open : {false, true}) {
            for (const Moment moment : {Moment{false, false}, Moment{false, true}, Moment{true, false}, Moment{true, true}}) {
              SCOPED_TRACE(std::string(to_string(vm)) + "/" + std::string(to_string(task)) + " seen kind " +
                           std::to_string(static_cast<int>(seen.kind)) + " " + std::string(to_string(seen.state)));
              const Instance recorded = recorded_as(vm, task, power);
              check(recorded, seen, open, moment, decide(recorded, seen, open, moment));
            }
          }
        }
      }
    }
  }
}

TEST(Decide, UnknownNeverChangesAnything) {
  for_all([](const Instance&, const Seen& seen, bool, const Moment&, const Decision& decision) {
    if (seen.kind != Seen::Kind::kUnknown) return;
    EXPECT_EQ(decision.action, Action::kNothing);
  });
}

TEST(Decide, WhereSomebodyWorksNothingIsDone) {
  for_all([](const Instance& recorded, const Seen&, bool open, const Moment&, const Decision& decision) {
    if (!open && recorded.task_state == TaskState::kNone) return;
    EXPECT_EQ(decision.action, Action::kNothing);
  });
}

TEST(Decide, EveryDecisionHasAReasonAndThePowerThatWasSeen) {
  for_all([](const Instance&, const Seen& seen, bool, const Moment&, const Decision& decision) {
    EXPECT_FALSE(decision.reason.empty());
    EXPECT_EQ(decision.power, seen.state);
  });
}

TEST(Decide, GuestsAreStartedOnlyAtAStartAndOnlyWhenConfigured) {
  for_all([](const Instance& recorded, const Seen& seen, bool open, const Moment& moment, const Decision& decision) {
    const bool was_running = recorded.vm_state == VmState::kActive && recorded.task_state == TaskState::kNone &&
                             recorded.power_state == PowerState::kRunning && !open;
    EXPECT_EQ(decision.action == Action::kOrderStart,
              was_running && seen.kind == Seen::Kind::kThere && is_off(seen) && moment.starting && moment.resume_guests);
  });
}

TEST(Decide, ADecisionThatWasCarriedOutIsNotMadeAgain) {
  for_all([](const Instance& recorded, const Seen& seen, bool open, const Moment& moment, const Decision& decision) {
    Instance after = recorded;
    after.power_state = decision.power;
    switch (decision.action) {
      case Action::kNothing: return;
      case Action::kRecordPower: break;
      case Action::kMarkActive: after.vm_state = VmState::kActive; break;
      case Action::kMarkStopped: after.vm_state = VmState::kStopped; break;
      case Action::kOrderStop: after.task_state = TaskState::kPoweringOff; break;
      case Action::kOrderStart: after.task_state = TaskState::kPoweringOn; break;
      case Action::kOrderSoftDelete: after.task_state = TaskState::kSoftDeleting; break;
    }
    EXPECT_EQ(decide(after, seen, open, moment).action, Action::kNothing);
  });
}

// Idle instances. P: only the power state; S: mark stopped; A: mark active; X: order a stop; D: order a soft delete; '.': nothing, whatever
// the power state. Columns: gone, NOSTATE, Running, Paused, Shutdown, Crashed, Suspended.
struct Row {
  VmState vm;
  const char* actions;
};
constexpr Row kRows[] = {
    {VmState::kBuilding, "......."},  {VmState::kActive, "SPPPSSX"},      {VmState::kPaused, "SPAPSSP"},
    {VmState::kSuspended, "SPAPPPP"}, {VmState::kStopped, "PPXXPPX"},     {VmState::kRescued, "PPPPPPP"},
    {VmState::kResized, "PPPPPPP"},   {VmState::kSoftDeleted, "PPDDPPD"}, {VmState::kDeleted, "......."},
    {VmState::kError, "PPPPPPP"},     {VmState::kShelved, "PPPPPPP"},     {VmState::kShelvedOffloaded, "PPPPPPP"},
};

Action expected_action(char letter, bool power_differs) {
  switch (letter) {
    case 'S': return Action::kMarkStopped;
    case 'A': return Action::kMarkActive;
    case 'X': return Action::kOrderStop;
    case 'D': return Action::kOrderSoftDelete;
    case 'P': return power_differs ? Action::kRecordPower : Action::kNothing;
    default: return Action::kNothing;
  }
}

TEST(Decide, IdleInstancesFollowTheTable) {
  const std::vector<Seen> columns = all_seen();
  ASSERT_EQ(std::size(kRows), kVmStates.size());
  for (const Row& row : kRows) {
    ASSERT_EQ(std::string(row.actions).size(), columns.size());
    for (std::size_t column = 0; column < columns.size(); ++column) {
      for (const PowerState power : kPowers) {
        const Decision decision = decide(recorded_as(row.vm, TaskState::kNone, power), columns[column], false);
        EXPECT_EQ(decision.action, expected_action(row.actions[column], power != columns[column].state))
            << to_string(row.vm) << ", column " << column << ", recorded " << to_string(power) << ": " << to_string(decision.action) << ", "
            << decision.reason;
      }
    }
  }
}

TEST(Decide, ReasonsNameTheStates) {
  const Instance active = recorded_as(VmState::kActive, TaskState::kNone, PowerState::kRunning);
  EXPECT_EQ(decide(active, {Seen::Kind::kThere, PowerState::kCrashed}, false).reason,
            "the instance is active and its domain is Crashed: it went off without an order of ours");
  EXPECT_EQ(decide(active, {Seen::Kind::kGone, PowerState::kNoState}, false).reason,
            "the instance is active and its domain is not defined: starting it defines it again");
}

}  // namespace
}  // namespace ca
