#pragma once
// What ends by itself: soft-deleted instances after reclaim_instance_interval, resizes after resize_confirm_window. One timer looks at
// the records in memory and publishes an order for what is due; it asks nobody else.

#include <chrono>
#include <functional>

#include "agent/config/config.h"
#include "agent/runtime/timer_queue.h"
#include "agent/runtime/worker_pool.h"
#include "agent/store/store.h"

namespace ca {

// What is due, pure. `now_us` is wall time.
struct Due {
  Uuid uuid;
  bool reclaim = false;  // else: confirm the resize
};
[[nodiscard]] std::vector<Due> due_instances(const Config& config, const std::vector<std::shared_ptr<const Instance>>& instances,
                                             std::int64_t now_us);
// How often it is looked: 0 when neither option is set.
[[nodiscard]] std::chrono::milliseconds expiry_interval(const Config& config);

class Expiry {
 public:
  using Publish = std::function<Result<void>(Tx&, const std::string& method, const Uuid& uuid)>;
  Expiry(const Config& config, const Clock& clock, Store& store, TimerQueue& timers, WorkerPool& workers, Publish publish);
  // Until the timers stop.
  void start();

 private:
  void look();
  Result<void> order(Tx& tx, const Due& due);

  const Config& config_;
  const Clock& clock_;
  Store& store_;
  TimerQueue& timers_;
  WorkerPool& workers_;
  Publish publish_;
};

}  // namespace ca
