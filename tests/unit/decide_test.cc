#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "agent/reconcile/decide.h"

namespace ca {
namespace {

constexpr std::array kVmStates{VmState::kBuilding, VmState::kActive,      VmState::kPaused,  VmState::kSuspended,
                               VmState::kStopped,  VmState::kRescued,     VmState::kResized, VmState::kSoftDeleted,
                               VmState::kDeleted,  VmState::kError,       VmState::kShelved, VmState::kShelvedOffloaded};
constexpr std::array kTasks{TaskState::kNone,          TaskState::kScheduling,      TaskState::kBlockDeviceMapping,
                            TaskState::kNetworking,    TaskState::kSpawning,        TaskState::kPoweringOn,
                            TaskState::kPoweringOff,   TaskState::kRebooting,       TaskState::kRebootPending,
                            TaskState::kRebootStarted, TaskState::kRebootingHard,   TaskState::kRebootPendingHard,
                            TaskState::kRebootStartedHard, TaskState::kDeleting};
constexpr std::array kPowers{PowerState::kNoState,  PowerState::kRunning, PowerState::kPaused,
                             PowerState::kShutdown, PowerState::kCrashed, PowerState::kSuspended};

std::vector<SeenState> everything_seen() {
  std::vector<SeenState> all{SeenState::unknown(), SeenState::gone()};
  for (const PowerState power : kPowers) all.push_back(SeenState::present(power));
  return all;
}

// Every combination of what can be recorded, seen and configured.
template <typename Check>
void for_all(Check check) {
  int count = 0;
  for (const VmState vm : kVmStates) {
    for (const TaskState task : kTasks) {
      for (const PowerState power : kPowers) {
        for (const bool work : {false, true}) {
          for (const SeenState& seen : everything_seen()) {
            for (const Moment moment : {Moment{false, false}, Moment{false, true}, Moment{true, false}, Moment{true, true}}) {
              const RecordedState recorded{vm, task, power, work};
              SCOPED_TRACE(std::string(to_string(vm)) + "/" + std::string(to_string(task)) + " seen kind " +
                           std::to_string(static_cast<int>(seen.kind)) + " power " + std::string(to_string(seen.power_state)));
              check(recorded, seen, moment, decide(recorded, seen, moment));
              ++count;
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(count, 12 * 14 * 6 * 2 * 8 * 4);
}

TEST(Decide, UnknownNeverChangesAnything) {
  for_all([](const auto&, const SeenState& seen, const auto&, const Decision& decision) {
    if (seen.kind != SeenState::Kind::kUnknown) return;
    EXPECT_EQ(decision.action, Action::kNothing);
  });
}

TEST(Decide, WhereSomebodyWorksNothingIsDone) {
  for_all([](const RecordedState& recorded, const auto&, const auto&, const Decision& decision) {
    if (!recorded.has_work) return;
    EXPECT_EQ(decision.action, Action::kNothing);
  });
}

TEST(Decide, EveryDecisionHasAReasonAndRecordsWhatWasSeen) {
  for_all([](const auto&, const SeenState& seen, const auto&, const Decision& decision) {
    EXPECT_FALSE(decision.reason.empty());
    EXPECT_EQ(decision.power_state, seen.power_state);
  });
}

TEST(Decide, OnlyDeletedInstancesLoseTheirDomain) {
  for_all([](const RecordedState& recorded, const SeenState& seen, const auto&, const Decision& decision) {
    const bool left_over = recorded.vm_state == VmState::kDeleted && seen.kind == SeenState::Kind::kPresent && !recorded.has_work;
    EXPECT_EQ(decision.action == Action::kRemoveDomain, left_over);
  });
}

TEST(Decide, GuestsAreStartedOnlyAtStartAndOnlyWhenConfigured) {
  for_all([](const RecordedState& recorded, const SeenState& seen, const Moment& moment, const Decision& decision) {
    const bool was_running = recorded.vm_state == VmState::kActive && recorded.task_state == TaskState::kNone &&
                             recorded.power_state == PowerState::kRunning && !recorded.has_work;
    const bool is_off = seen.kind == SeenState::Kind::kPresent &&
                        (seen.power_state == PowerState::kShutdown || seen.power_state == PowerState::kCrashed);
    EXPECT_EQ(decision.action == Action::kStart, was_running && is_off && moment.starting && moment.resume_guests);
  });
}

TEST(Decide, PendingTasksAreLeftAloneUntilAStartFindsThemAbandoned) {
  for_all([](const RecordedState& recorded, const SeenState& seen, const Moment& moment, const Decision& decision) {
    const bool pending = recorded.task_state != TaskState::kNone || recorded.vm_state == VmState::kBuilding;
    if (recorded.has_work || !pending || recorded.vm_state == VmState::kDeleted || seen.kind == SeenState::Kind::kUnknown) return;
    Action expected = Action::kNothing;
    if (moment.starting) {
      expected = recorded.task_state == TaskState::kDeleting    ? Action::kDelete
                 : recorded.vm_state == VmState::kBuilding ? Action::kMarkError
                                                           : Action::kClearTask;
    }
    EXPECT_EQ(decision.action, expected);
  });
}

// Idle instances, outside a start. '-': nothing but the power state; S: mark stopped; X: stop; E: mark error; D: remove domain;
// '.': nothing at all. Columns: gone, NOSTATE, Running, Paused, Shutdown, Crashed, Suspended.
struct Row {
  VmState vm;
  const char* actions;
};
constexpr Row kRows[] = {
    {VmState::kActive, "E---SSX"},
    {VmState::kPaused, "E---SS-"},
    {VmState::kStopped, "--XX--X"},
    {VmState::kSuspended, "-------"},
    {VmState::kRescued, "-------"},
    {VmState::kResized, "-------"},
    {VmState::kSoftDeleted, "-------"},
    {VmState::kError, "-------"},
    {VmState::kShelved, "-------"},
    {VmState::kShelvedOffloaded, "-------"},
    {VmState::kDeleted, ".DDDDDD"},
    {VmState::kBuilding, "......."},
};

Action expected_action(char letter, bool power_differs) {
  switch (letter) {
    case 'S': return Action::kMarkStopped;
    case 'X': return Action::kStop;
    case 'E': return Action::kMarkError;
    case 'D': return Action::kRemoveDomain;
    case '-': return power_differs ? Action::kRecordPowerState : Action::kNothing;
    default: return Action::kNothing;
  }
}

TEST(Decide, IdleInstancesFollowTheTable) {
  std::vector<SeenState> columns = everything_seen();
  columns.erase(columns.begin());
  ASSERT_EQ(std::size(kRows), kVmStates.size());
  for (const Row& row : kRows) {
    ASSERT_EQ(std::string(row.actions).size(), columns.size());
    for (std::size_t column = 0; column < columns.size(); ++column) {
      for (const PowerState recorded_power : kPowers) {
        const SeenState& seen = columns[column];
        const Decision decision = decide({row.vm, TaskState::kNone, recorded_power, false}, seen, {});
        EXPECT_EQ(decision.action, expected_action(row.actions[column], recorded_power != seen.power_state))
            << to_string(row.vm) << ", column " << column << ", recorded " << to_string(recorded_power) << ": "
            << to_string(decision.action) << ", " << decision.reason;
      }
    }
  }
}

TEST(Decide, ReasonsNameTheStates) {
  const Decision stopped = decide({VmState::kActive, TaskState::kNone, PowerState::kRunning, false},
                                  SeenState::present(PowerState::kCrashed), {});
  EXPECT_EQ(stopped.reason, "the instance is active but its domain is Crashed");
  const Decision gone = decide({VmState::kActive, TaskState::kNone, PowerState::kRunning, false}, SeenState::gone(), {});
  EXPECT_EQ(gone.reason, "the instance is active but its domain is gone");
}

}  // namespace
}  // namespace ca
