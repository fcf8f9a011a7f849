#pragma once
// Bounded workers for everything that may block. A task that runs past its deadline is abandoned: its worker is counted as hung
// and replaced (up to a cap), and the task's `expired` runs instead of its result. Threads are made when needed and end after
// they idled for a while, so an idle agent has none.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "agent/runtime/timer_queue.h"

namespace ca {

// What a running task knows about itself.
class TaskLease {
 public:
  // From now on the task has `limit` to call rearm() again or to end. False: it was abandoned; it must leave without effect.
  virtual bool rearm(std::chrono::milliseconds limit, std::function<void()> expired) = 0;
  // No deadline until the next rearm(). False: as above.
  virtual bool disarm() = 0;
  virtual ~TaskLease() = default;
};

struct WorkerStats {
  std::size_t threads = 0, busy = 0, hung = 0, queued = 0;
  std::uint64_t hung_total = 0;
};

class WorkerPool {
 public:
  WorkerPool(TimerQueue& timers, std::size_t max_threads, std::size_t max_hung);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // `run` starts on a worker as soon as one is free. No deadline until it calls rearm().
  void submit(std::function<void(TaskLease&)> run);
  [[nodiscard]] WorkerStats stats() const;
  // Takes no more tasks, drops those that have not begun, waits for running ones up to `limit`. False: some still run, or hang.
  bool drain(std::chrono::milliseconds limit);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace ca
