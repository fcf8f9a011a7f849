#pragma once
// What the contract tests do to the lab they run in (tests/integration/lab/own-libvirt), and to the programs beside it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "drivers/process/posix/posix_process_runner.h"

namespace ca {

inline bool in_lab() { return std::getenv("LAB_CTL") != nullptr; }

inline constexpr const char* kNoLab = "needs a libvirtd of its own: run it by tests/integration/lab/own-libvirt, as root";

// Runs a program and gives its stdout; the test fails when the program does.
inline std::string run_program(const std::vector<std::string>& argv, int expected_status = 0) {
  const auto runner = make_posix_process_runner();
  ProcessSpec spec;
  spec.argv = argv;
  spec.memory_bytes = 0;
  auto result = runner->run(spec);
  if (!result) {
    ADD_FAILURE() << argv[0] << ": " << result.error().chain();
    return {};
  }
  EXPECT_EQ(result->exit_status, expected_status) << argv[0] << " " << (argv.size() > 1 ? argv[1] : "") << ": " << result->err;
  return result->out;
}

// own-libvirt ctl COMMAND. Not by a ProcessRunner, which would end the libvirtd that "start" leaves behind.
inline void lab_ctl(const std::string& command) {
  const std::string line = std::string(std::getenv("LAB_CTL")) + " ctl " + command;
  ASSERT_EQ(std::system(line.c_str()), 0) << line;
}

// Until `condition` holds; false after `seconds`.
inline bool eventually(const std::function<bool()>& condition, int seconds = 20) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace ca
