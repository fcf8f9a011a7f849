#pragma once
// nova's states and the one table of allowed transitions (nova/compute/vm_states.py, task_states.py, power_state.py).

#include <string>
#include <string_view>

#include "agent/core/error.h"

namespace ca {

enum class VmState {
  kBuilding,
  kActive,
  kPaused,
  kSuspended,
  kStopped,
  kRescued,
  kResized,
  kSoftDeleted,
  kDeleted,
  kError,
  kShelved,
  kShelvedOffloaded
};

enum class TaskState {
  kNone,
  kScheduling,
  kBlockDeviceMapping,
  kNetworking,
  kSpawning,
  kImageSnapshotPending,
  kImageSnapshot,
  kImagePendingUpload,
  kImageUploading,
  kImageBackup,
  kUpdatingPassword,
  kResizePrep,
  kResizeMigrating,
  kResizeMigrated,
  kResizeFinish,
  kResizeReverting,
  kResizeConfirming,
  kRebooting,
  kRebootPending,
  kRebootStarted,
  kRebootingHard,
  kRebootPendingHard,
  kRebootStartedHard,
  kPausing,
  kUnpausing,
  kSuspending,
  kResuming,
  kPoweringOn,
  kPoweringOff,
  kRescuing,
  kUnrescuing,
  kRebuilding,
  kRebuildBlockDeviceMapping,
  kRebuildSpawning,
  kMigrating,
  kShelving,
  kShelvingImagePendingUpload,
  kShelvingImageUploading,
  kShelvingOffloading,
  kUnshelving,
  kSoftDeleting,
  kDeleting,
  kRestoring
};

// The numbers are nova's and libvirt's users know them.
enum class PowerState { kNoState = 0, kRunning = 1, kPaused = 3, kShutdown = 4, kCrashed = 6, kSuspended = 7 };

[[nodiscard]] std::string_view to_string(VmState state);     // "building", "soft-delete", ...
[[nodiscard]] std::string_view to_string(TaskState state);   // "" for kNone
[[nodiscard]] std::string_view to_string(PowerState state);  // "NOSTATE", "Running", ... as the client prints it
[[nodiscard]] Result<VmState> vm_state_from(std::string_view text);
[[nodiscard]] Result<TaskState> task_state_from(std::string_view text);

// The `status` of the Compute API (nova/api/openstack/common.py _STATE_MAP): BUILD, ACTIVE, SHUTOFF, REBOOT, ...
[[nodiscard]] std::string_view api_status(VmState vm, TaskState task);

// What a user may order. Named after the message that carries it (nova/compute/rpcapi.py).
enum class Order {
  kBuild,
  kTerminate,
  kSoftDelete,
  kRestore,
  kStart,
  kStop,
  kRebootSoft,
  kRebootHard,
  kPause,
  kUnpause,
  kSuspend,
  kResume,
  kRescue,
  kUnrescue,
  kRebuild,
  kResize,
  kConfirmResize,
  kRevertResize,
  kShelve,
  kShelveOffload,
  kUnshelve,
  kSnapshot,
  kBackup,
  kAttachVolume,
  kDetachVolume,
  kExtendVolume,
  kAttachInterface,
  kDetachInterface,
  kCrashDump,
  kSetPassword
};
[[nodiscard]] std::string_view to_string(Order order);  // "start_instance", ...

// kConflict naming the state when `order` is not allowed now
// ("Cannot 'start' instance <uuid> while it is in vm_state active").
[[nodiscard]] Result<void> check_order(Order order, VmState vm, TaskState task, std::string_view uuid);

}  // namespace ca
