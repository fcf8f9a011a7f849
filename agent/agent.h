#pragma once
// The agent put together: which driver stands behind which interface, in which order things start and end.

#include <memory>

#include "agent/config/config.h"
#include "agent/core/error.h"

namespace ca {

class Agent {
 public:
  explicit Agent(const Config& config);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Opens the store, takes up what a crash left, listens. Errors say what to do.
  Result<void> start();
  // No new work; running steps end and are recorded; then everything is closed. False: some step did not end in time (the journal
  // resumes it at the next start).
  bool drain();
  // Instead of start().
  [[nodiscard]] Result<std::vector<std::string>> fault_points();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace ca
