#include "agent/core/states.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace ca {
namespace {

constexpr std::array<std::pair<VmState, std::string_view>, 12> kVmStates{{
    {VmState::kBuilding, "building"},
    {VmState::kActive, "active"},
    {VmState::kPaused, "paused"},
    {VmState::kSuspended, "suspended"},
    {VmState::kStopped, "stopped"},
    {VmState::kRescued, "rescued"},
    {VmState::kResized, "resized"},
    {VmState::kSoftDeleted, "soft-delete"},
    {VmState::kDeleted, "deleted"},
    {VmState::kError, "error"},
    {VmState::kShelved, "shelved"},
    {VmState::kShelvedOffloaded, "shelved_offloaded"},
}};

constexpr std::array<std::pair<TaskState, std::string_view>, 14> kTaskStates{{
    {TaskState::kNone, ""},
    {TaskState::kScheduling, "scheduling"},
    {TaskState::kBlockDeviceMapping, "block_device_mapping"},
    {TaskState::kNetworking, "networking"},
    {TaskState::kSpawning, "spawning"},
    {TaskState::kPoweringOn, "powering-on"},
    {TaskState::kPoweringOff, "powering-off"},
    {TaskState::kRebooting, "rebooting"},
    {TaskState::kRebootPending, "reboot_pending"},
    {TaskState::kRebootStarted, "reboot_started"},
    {TaskState::kRebootingHard, "rebooting_hard"},
    {TaskState::kRebootPendingHard, "reboot_pending_hard"},
    {TaskState::kRebootStartedHard, "reboot_started_hard"},
    {TaskState::kDeleting, "deleting"},
}};

// Which vm_states an order may start from. One row per order; terminate is allowed from everywhere.
struct Rule {
  Order order;
  std::string_view verb;  // nova's word in the refusal
  std::vector<VmState> from;
  std::vector<TaskState> during;  // task states besides none in which it may still start
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all{
      {Order::kBuild, "create", {VmState::kBuilding}, {TaskState::kScheduling}},
      {Order::kStart, "start", {VmState::kStopped}, {TaskState::kPoweringOn}},
      {Order::kStop, "stop", {VmState::kActive, VmState::kError}, {TaskState::kPoweringOff}},
      {Order::kRebootSoft, "reboot", {VmState::kActive}, {TaskState::kRebooting}},
      {Order::kRebootHard,
       "reboot",
       {VmState::kActive, VmState::kStopped, VmState::kPaused, VmState::kSuspended, VmState::kError},
       {TaskState::kRebootingHard}},
  };
  return all;
}

}  // namespace

std::string_view to_string(VmState state) {
  for (const auto& [value, text] : kVmStates) {
    if (value == state) return text;
  }
  return "error";
}

std::string_view to_string(TaskState state) {
  for (const auto& [value, text] : kTaskStates) {
    if (value == state) return text;
  }
  return "";
}

std::string_view to_string(PowerState state) {
  switch (state) {
    case PowerState::kNoState: return "NOSTATE";
    case PowerState::kRunning: return "Running";
    case PowerState::kPaused: return "Paused";
    case PowerState::kShutdown: return "Shutdown";
    case PowerState::kCrashed: return "Crashed";
    case PowerState::kSuspended: return "Suspended";
  }
  return "NOSTATE";
}

Result<VmState> vm_state_from(std::string_view text) {
  for (const auto& [value, name] : kVmStates) {
    if (name == text) return value;
  }
  return fail(Code::kInvalid, fmt::format("unknown vm_state '{}'", text));
}

Result<TaskState> task_state_from(std::string_view text) {
  for (const auto& [value, name] : kTaskStates) {
    if (name == text) return value;
  }
  return fail(Code::kInvalid, fmt::format("unknown task_state '{}'", text));
}

std::string_view api_status(VmState vm, TaskState task) {
  switch (vm) {
    case VmState::kActive:
      switch (task) {
        case TaskState::kRebooting:
        case TaskState::kRebootPending:
        case TaskState::kRebootStarted: return "REBOOT";
        case TaskState::kRebootingHard:
        case TaskState::kRebootPendingHard:
        case TaskState::kRebootStartedHard: return "HARD_REBOOT";
        default: return "ACTIVE";
      }
    case VmState::kBuilding: return "BUILD";
    case VmState::kStopped:
      switch (task) {
        case TaskState::kRebootingHard:
        case TaskState::kRebootPendingHard:
        case TaskState::kRebootStartedHard: return "HARD_REBOOT";
        default: return "SHUTOFF";
      }
    case VmState::kPaused: return "PAUSED";
    case VmState::kSuspended: return "SUSPENDED";
    case VmState::kRescued: return "RESCUE";
    case VmState::kResized: return "VERIFY_RESIZE";
    case VmState::kSoftDeleted: return "SOFT_DELETED";
    case VmState::kDeleted: return "DELETED";
    case VmState::kError: return "ERROR";
    case VmState::kShelved: return "SHELVED";
    case VmState::kShelvedOffloaded: return "SHELVED_OFFLOADED";
  }
  return "UNKNOWN";
}

std::string_view to_string(Order order) {
  switch (order) {
    case Order::kBuild: return "build_and_run_instance";
    case Order::kTerminate: return "terminate_instance";
    case Order::kStart: return "start_instance";
    case Order::kStop: return "stop_instance";
    case Order::kRebootSoft:
    case Order::kRebootHard: return "reboot_instance";
  }
  return "unknown";
}

Result<void> check_order(Order order, VmState vm, TaskState task, std::string_view uuid) {
  if (order == Order::kTerminate) {
    if (vm == VmState::kDeleted) return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", uuid));
    return {};
  }
  const auto rule = std::ranges::find(rules(), order, &Rule::order);
  if (std::ranges::find(rule->from, vm) == rule->from.end()) {
    return fail(Code::kConflict, fmt::format("Cannot '{}' instance {} while it is in vm_state {}", rule->verb, uuid, to_string(vm)));
  }
  if (task != TaskState::kNone && std::ranges::find(rule->during, task) == rule->during.end()) {
    return fail(Code::kConflict, fmt::format("Cannot '{}' instance {} while it is in task_state {}", rule->verb, uuid, to_string(task)));
  }
  return {};
}

}  // namespace ca
