#pragma once
// A ProcessRunner that a test writes: what is expected to be run, in which order, and what each program then
// answers or does.

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/process.h"

namespace ca {

class ScriptedProcessRunner final : public ProcessRunner {
 public:
  // What the program does: may write files, wait, fail.
  using Effect = std::function<Result<ProcessResult>(const ProcessSpec& spec)>;

  // The next call's argv must match `pattern`, argument by argument, each a glob as in fnmatch(3)
  // ("*/disk.part"). A last pattern "..." stands for any further arguments.
  void expect(std::vector<std::string> pattern, Effect effect);
  void expect(std::vector<std::string> pattern, ProcessResult result);

  // A call that was not expected is kInternal and names its argv.
  Result<ProcessResult> run(const ProcessSpec& spec) override;

  [[nodiscard]] std::vector<ProcessSpec> calls() const;
  // Expectations that were not met yet; a test ends with EXPECT_EQ(runner.left(), 0).
  [[nodiscard]] std::size_t left() const;

 private:
  struct Expectation {
    std::vector<std::string> pattern;
    Effect effect;
  };

  mutable std::mutex mutex_;
  std::vector<Expectation> expectations_;
  std::size_t next_ = 0;
  std::vector<ProcessSpec> calls_;
};

}  // namespace ca
