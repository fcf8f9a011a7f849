#pragma once
// Outside programs, run bounded. posix/ uses fork+exec with a closed environment, rlimits and a process group that is killed as a
// whole; scripted/ is what a test writes. Never a shell.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace ca {

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] is an absolute path
  std::string stdin_text;
  std::chrono::milliseconds wall_limit{60'000};
  std::int64_t cpu_seconds = 30;                      // RLIMIT_CPU (nova's qemu_img_limits: 30 s)
  std::int64_t memory_bytes = std::int64_t{1} << 30;  // RLIMIT_AS (nova's qemu_img_limits: 1 GiB)
  std::int64_t file_bytes = 0;                        // RLIMIT_FSIZE; 0: none
  std::size_t output_bytes = 1 << 20;                 // of stdout and stderr each; more ends the program
};

struct ProcessResult {
  int exit_status = 0;  // 128 + signal when killed
  std::string out;
  std::string err;
};

class ProcessRunner {
 public:
  virtual ~ProcessRunner() = default;
  // kTimeout, kTooLarge (output), kNotFound (no such program), kExternal (killed by a signal). A non-zero exit status is a
  // value, not an error.
  virtual Result<ProcessResult> run(const ProcessSpec& spec) = 0;
};

}  // namespace ca
