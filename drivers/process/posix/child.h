#pragma once
// The child's side between fork and exec. Everything it needs is prepared before the fork, because in a copy
// of a process with many threads only async-signal-safe calls are allowed (signal-safety(7)): no allocation,
// no locks.

#include <sys/resource.h>
#include <sys/types.h>

#include "drivers/process.h"

namespace ca {

enum class ChildStep : int { kSession, kDeathSignal, kSignals, kStdio, kLimits, kDirectory, kExec };

// What the child writes to the status pipe when it cannot exec; a successful exec closes the pipe without a
// word.
struct ChildFailure {
  ChildStep step;
  int errnum;
};

struct ChildPlan {
  const char* program;
  char* const* argv;
  char* const* envp;
  int stdin_fd, stdout_fd, stderr_fd, status_fd;
  pid_t parent;
  rlim_t cpu_seconds, memory_bytes, file_bytes;  // 0: no limit
};

[[noreturn]] void run_child(const ChildPlan& plan) noexcept;

[[nodiscard]] const char* describe(ChildStep step);

}  // namespace ca
