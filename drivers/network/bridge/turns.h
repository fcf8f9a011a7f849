#pragma once
// One at a time for each name. Two builds that need the same new network would otherwise both see "defined, not running", and one
// would remove the bridge that the other is just starting.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "agent/core/error.h"

namespace ca {

class Turns {
 public:
  // Held until it is destroyed.
  class Turn {
   public:
    Turn(Turns& turns, std::string name) : turns_(&turns), name_(std::move(name)) {}
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)), name_(std::move(other.name_)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ != nullptr) turns_->end(name_);
    }

   private:
    Turns* turns_;
    std::string name_;
  };

  // kUnavailable when whoever has the turn keeps it for longer than `limit`.
  Result<Turn> take(const std::string& name, std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, limit, [&] { return !taken_.contains(name); })) {
      return fail(Code::kUnavailable, "network " + name + " is being changed by another order, which does not end");
    }
    taken_.insert(name);
    return Turn(*this, name);
  }

 private:
  void end(const std::string& name) {
    const std::lock_guard lock(mutex_);
    taken_.erase(name);
    changed_.notify_all();
  }

  std::mutex mutex_;  // guards taken_ only; never held across I/O
  std::condition_variable changed_;
  std::set<std::string> taken_;
};

}  // namespace ca
