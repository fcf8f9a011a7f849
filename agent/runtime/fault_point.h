#pragma once
// Named places where a test build can be told to die, fail or hang. In a release build hit() is nothing at all.
//
// COMPUTE_AGENT_FAULT="build_and_run_instance/define:ran=kill,accept:committed=error" - names come from
// `compute-agent --list-fault-points`; actions: kill (SIGKILL to self), error (an Error kInternal), hang (60 s).

#include <string_view>

#include "agent/core/error.h"

namespace ca::fault {

#ifdef COMPUTE_AGENT_FAULT_POINTS
[[nodiscard]] Result<void> hit(std::string_view name);
#else
[[nodiscard]] inline Result<void> hit(std::string_view) { return {}; }
#endif

}  // namespace ca::fault
