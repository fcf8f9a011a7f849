#pragma once
// One thread that runs short callbacks at their time. Callbacks must not block: they hand work to a WorkerPool.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace ca {

class TimerQueue {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Id = std::uint64_t;

  TimerQueue();
  ~TimerQueue();
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  Id after(std::chrono::milliseconds delay, std::function<void()> callback);
  // False when it has run, is running or was never there.
  bool cancel(Id id);
  // No callback runs after this returns.
  void stop();

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<TimePoint, Id>, std::function<void()>> due_;
  std::map<Id, TimePoint> times_;
  Id next_ = 1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ca
