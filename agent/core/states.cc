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

constexpr std::array<std::pair<TaskState, std::string_view>, 43> kTaskStates{{
    {TaskState::kNone, ""},
    {TaskState::kScheduling, "scheduling"},
    {TaskState::kBlockDeviceMapping, "block_device_mapping"},
    {TaskState::kNetworking, "networking"},
    {TaskState::kSpawning, "spawning"},
    {TaskState::kImageSnapshotPending, "image_snapshot_pending"},
    {TaskState::kImageSnapshot, "image_snapshot"},
    {TaskState::kImagePendingUpload, "image_pending_upload"},
    {TaskState::kImageUploading, "image_uploading"},
    {TaskState::kImageBackup, "image_backup"},
    {TaskState::kUpdatingPassword, "updating_password"},
    {TaskState::kResizePrep, "resize_prep"},
    {TaskState::kResizeMigrating, "resize_migrating"},
    {TaskState::kResizeMigrated, "resize_migrated"},
    {TaskState::kResizeFinish, "resize_finish"},
    {TaskState::kResizeReverting, "resize_reverting"},
    {TaskState::kResizeConfirming, "resize_confirming"},
    {TaskState::kRebooting, "rebooting"},
    {TaskState::kRebootPending, "reboot_pending"},
    {TaskState::kRebootStarted, "reboot_started"},
    {TaskState::kRebootingHard, "rebooting_hard"},
    {TaskState::kRebootPendingHard, "reboot_pending_hard"},
    {TaskState::kRebootStartedHard, "reboot_started_hard"},
    {TaskState::kPausing, "pausing"},
    {TaskState::kUnpausing, "unpausing"},
    {TaskState::kSuspending, "suspending"},
    {TaskState::kResuming, "resuming"},
    {TaskState::kPoweringOn, "powering-on"},
    {TaskState::kPoweringOff, "powering-off"},
    {TaskState::kRescuing, "rescuing"},
    {TaskState::kUnrescuing, "unrescuing"},
    {TaskState::kRebuilding, "rebuilding"},
    {TaskState::kRebuildBlockDeviceMapping, "rebuild_block_device_mapping"},
    {TaskState::kRebuildSpawning, "rebuild_spawning"},
    {TaskState::kMigrating, "migrating"},
    {TaskState::kShelving, "shelving"},
    {TaskState::kShelvingImagePendingUpload, "shelving_image_pending_upload"},
    {TaskState::kShelvingImageUploading, "shelving_image_uploading"},
    {TaskState::kShelvingOffloading, "shelving_offloading"},
    {TaskState::kUnshelving, "unshelving"},
    {TaskState::kSoftDeleting, "soft-deleting"},
    {TaskState::kDeleting, "deleting"},
    {TaskState::kRestoring, "restoring"},
}};

// Which vm_states an order may start from. One row per order; terminate is allowed from everywhere.
struct Rule {
  Order order;
  std::string_view verb;  // nova's word in the refusal
  std::vector<VmState> from;
  std::vector<TaskState> during;  // task states besides none in which it may still start
};

// From the check_instance_state decorators of nova/compute/api.py.
const std::vector<Rule>& rules() {
  static const std::vector<Rule> all{
      {Order::kBuild, "create", {VmState::kBuilding}, {TaskState::kScheduling}},
      {Order::kSoftDelete,
       "soft_delete",
       {VmState::kActive, VmState::kPaused, VmState::kSuspended, VmState::kStopped, VmState::kRescued, VmState::kResized, VmState::kError,
        VmState::kShelved, VmState::kShelvedOffloaded},
       {TaskState::kSoftDeleting}},
      {Order::kRestore, "restore", {VmState::kSoftDeleted}, {TaskState::kRestoring}},
      {Order::kStart, "start", {VmState::kStopped}, {TaskState::kPoweringOn}},
      {Order::kStop, "stop", {VmState::kActive, VmState::kError}, {TaskState::kPoweringOff}},
      {Order::kRebootSoft, "reboot", {VmState::kActive}, {TaskState::kRebooting}},
      {Order::kRebootHard,
       "reboot",
       {VmState::kActive, VmState::kStopped, VmState::kPaused, VmState::kSuspended, VmState::kError},
       {TaskState::kRebootingHard}},
      {Order::kPause, "pause", {VmState::kActive}, {TaskState::kPausing}},
      {Order::kUnpause, "unpause", {VmState::kPaused}, {TaskState::kUnpausing}},
      {Order::kSuspend, "suspend", {VmState::kActive}, {TaskState::kSuspending}},
      {Order::kResume, "resume", {VmState::kSuspended}, {TaskState::kResuming}},
      {Order::kRescue, "rescue", {VmState::kActive, VmState::kStopped, VmState::kError}, {TaskState::kRescuing}},
      {Order::kUnrescue, "unrescue", {VmState::kRescued}, {TaskState::kUnrescuing}},
      {Order::kRebuild, "rebuild", {VmState::kActive, VmState::kStopped, VmState::kError}, {TaskState::kRebuilding}},
      {Order::kResize, "resize", {VmState::kActive, VmState::kStopped}, {TaskState::kResizePrep}},
      {Order::kConfirmResize, "confirmResize", {VmState::kResized}, {TaskState::kResizeConfirming}},
      {Order::kRevertResize, "revertResize", {VmState::kResized}, {TaskState::kResizeReverting}},
      {Order::kShelve, "shelve", {VmState::kActive, VmState::kStopped, VmState::kPaused, VmState::kSuspended}, {TaskState::kShelving}},
      {Order::kShelveOffload, "shelveOffload", {VmState::kShelved}, {TaskState::kShelvingOffloading}},
      {Order::kUnshelve, "unshelve", {VmState::kShelved, VmState::kShelvedOffloaded}, {TaskState::kUnshelving}},
      {Order::kSnapshot,
       "createImage",
       {VmState::kActive, VmState::kStopped, VmState::kPaused, VmState::kSuspended},
       {TaskState::kImageSnapshotPending}},
      {Order::kBackup,
       "createBackup",
       {VmState::kActive, VmState::kStopped, VmState::kPaused, VmState::kSuspended},
       {TaskState::kImageBackup}},
      {Order::kAttachVolume,
       "attach_volume",
       {VmState::kActive, VmState::kPaused, VmState::kStopped, VmState::kResized, VmState::kSoftDeleted, VmState::kShelved,
        VmState::kShelvedOffloaded},
       {}},
      {Order::kDetachVolume,
       "detach_volume",
       {VmState::kActive, VmState::kPaused, VmState::kStopped, VmState::kResized, VmState::kSoftDeleted, VmState::kShelved,
        VmState::kShelvedOffloaded},
       {}},
      {Order::kExtendVolume,
       "extend_volume",
       {VmState::kActive, VmState::kPaused, VmState::kStopped, VmState::kSuspended, VmState::kRescued},
       {}},
      {Order::kAttachInterface, "attach_interface", {VmState::kActive, VmState::kPaused, VmState::kStopped}, {}},
      {Order::kDetachInterface, "detach_interface", {VmState::kActive, VmState::kPaused, VmState::kStopped}, {}},
      {Order::kCrashDump, "trigger_crash_dump", {VmState::kActive, VmState::kPaused, VmState::kRescued, VmState::kError}, {}},
      {Order::kSetPassword, "changePassword", {VmState::kActive}, {TaskState::kUpdatingPassword}},
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

namespace {

// The statuses that a task gives an instance which is active or stopped; empty: the vm_state's own.
std::string_view task_status(TaskState task) {
  switch (task) {
    case TaskState::kRebootingHard:
    case TaskState::kRebootPendingHard:
    case TaskState::kRebootStartedHard: return "HARD_REBOOT";
    case TaskState::kRebuilding:
    case TaskState::kRebuildBlockDeviceMapping:
    case TaskState::kRebuildSpawning: return "REBUILD";
    case TaskState::kResizePrep:
    case TaskState::kResizeMigrating:
    case TaskState::kResizeMigrated:
    case TaskState::kResizeFinish: return "RESIZE";
    case TaskState::kMigrating: return "MIGRATING";
    default: return {};
  }
}

std::string_view active_status(TaskState task) {
  switch (task) {
    case TaskState::kRebooting:
    case TaskState::kRebootPending:
    case TaskState::kRebootStarted: return "REBOOT";
    case TaskState::kUpdatingPassword: return "PASSWORD";
    default: return task_status(task);
  }
}

bool rebuilds(TaskState task) { return task_status(task) == "REBUILD"; }

std::string_view or_else(std::string_view text, std::string_view otherwise) { return text.empty() ? otherwise : text; }

}  // namespace

std::string_view api_status(VmState vm, TaskState task) {
  switch (vm) {
    case VmState::kActive: return or_else(active_status(task), "ACTIVE");
    case VmState::kBuilding: return rebuilds(task) ? "REBUILD" : "BUILD";
    case VmState::kStopped: return or_else(task_status(task), "SHUTOFF");
    case VmState::kPaused: return task == TaskState::kMigrating ? "MIGRATING" : "PAUSED";
    case VmState::kSuspended: return "SUSPENDED";
    case VmState::kRescued: return "RESCUE";
    case VmState::kResized: return task == TaskState::kResizeReverting ? "REVERT_RESIZE" : "VERIFY_RESIZE";
    case VmState::kSoftDeleted: return "SOFT_DELETED";
    case VmState::kDeleted: return "DELETED";
    case VmState::kError: return rebuilds(task) ? "REBUILD" : "ERROR";
    case VmState::kShelved: return "SHELVED";
    case VmState::kShelvedOffloaded: return "SHELVED_OFFLOADED";
  }
  return "UNKNOWN";
}

std::string_view to_string(Order order) {
  switch (order) {
    case Order::kBuild: return "build_and_run_instance";
    case Order::kTerminate: return "terminate_instance";
    case Order::kSoftDelete: return "soft_delete_instance";
    case Order::kRestore: return "restore_instance";
    case Order::kStart: return "start_instance";
    case Order::kStop: return "stop_instance";
    case Order::kRebootSoft:
    case Order::kRebootHard: return "reboot_instance";
    case Order::kPause: return "pause_instance";
    case Order::kUnpause: return "unpause_instance";
    case Order::kSuspend: return "suspend_instance";
    case Order::kResume: return "resume_instance";
    case Order::kRescue: return "rescue_instance";
    case Order::kUnrescue: return "unrescue_instance";
    case Order::kRebuild: return "rebuild_instance";
    case Order::kResize: return "resize_instance";
    case Order::kConfirmResize: return "confirm_resize";
    case Order::kRevertResize: return "revert_resize";
    case Order::kShelve: return "shelve_instance";
    case Order::kShelveOffload: return "shelve_offload_instance";
    case Order::kUnshelve: return "unshelve_instance";
    case Order::kSnapshot: return "snapshot_instance";
    case Order::kBackup: return "backup_instance";
    case Order::kAttachVolume: return "attach_volume";
    case Order::kDetachVolume: return "detach_volume";
    case Order::kExtendVolume: return "extend_volume";
    case Order::kAttachInterface: return "attach_interface";
    case Order::kDetachInterface: return "detach_interface";
    case Order::kCrashDump: return "trigger_crash_dump";
    case Order::kSetPassword: return "set_admin_password";
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
