#include "drivers/process/scripted/scripted_process_runner.h"

#include <fmt/ranges.h>
#include <fnmatch.h>

namespace ca {
namespace {

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& argv) {
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == "..." && i + 1 == pattern.size()) return true;
    if (i >= argv.size() || ::fnmatch(pattern[i].c_str(), argv[i].c_str(), 0) != 0) return false;
  }
  return pattern.size() == argv.size();
}

}  // namespace

void ScriptedProcessRunner::expect(std::vector<std::string> pattern, Effect effect) {
  const std::lock_guard lock(mutex_);
  expectations_.push_back({std::move(pattern), std::move(effect)});
}

void ScriptedProcessRunner::expect(std::vector<std::string> pattern, ProcessResult result) {
  expect(std::move(pattern), [result = std::move(result)](const ProcessSpec&) { return result; });
}

Result<ProcessResult> ScriptedProcessRunner::run(const ProcessSpec& spec) {
  Effect effect;
  {
    const std::lock_guard lock(mutex_);
    calls_.push_back(spec);
    if (next_ >= expectations_.size()) {
      return fail(Code::kInternal, fmt::format("nothing more was expected to run, but got: {}", fmt::join(spec.argv, " ")));
    }
    const Expectation& expected = expectations_[next_];
    if (!matches(expected.pattern, spec.argv)) {
      return fail(Code::kInternal,
                  fmt::format("expected to run: {}; got: {}", fmt::join(expected.pattern, " "), fmt::join(spec.argv, " ")));
    }
    effect = expected.effect;
    ++next_;
  }
  return effect(spec);
}

std::vector<ProcessSpec> ScriptedProcessRunner::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::size_t ScriptedProcessRunner::left() const {
  const std::lock_guard lock(mutex_);
  return expectations_.size() - next_;
}

}  // namespace ca
