#pragma once
// Runs real programs: fork + exec, closed environment, rlimits, own session; the whole process group is
// killed at the wall limit, when the program ends, and (the program itself) when the calling thread dies.
// Safe in a process with many threads.

#include <memory>

#include "drivers/process.h"

namespace ca {

[[nodiscard]] std::unique_ptr<ProcessRunner> make_posix_process_runner();

}  // namespace ca
