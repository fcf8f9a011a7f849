#include "agent/runtime/timer_queue.h"

namespace ca {

TimerQueue::TimerQueue() : thread_([this] { loop(); }) {}

TimerQueue::~TimerQueue() { stop(); }

TimerQueue::Id TimerQueue::after(std::chrono::milliseconds delay, std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  const Id id = next_++;
  const TimePoint at = std::chrono::steady_clock::now() + delay;
  due_.emplace(std::make_pair(at, id), std::move(callback));
  times_.emplace(id, at);
  if (due_.begin()->first.second == id) changed_.notify_one();
  return id;
}

bool TimerQueue::cancel(Id id) {
  const std::lock_guard lock(mutex_);
  const auto time = times_.find(id);
  if (time == times_.end()) return false;
  due_.erase({time->second, id});
  times_.erase(time);
  return true;
}

void TimerQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void TimerQueue::loop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (due_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = due_.begin();
    if (first->first.first > std::chrono::steady_clock::now()) {
      changed_.wait_until(lock, first->first.first);
      continue;
    }
    auto callback = std::move(first->second);
    times_.erase(first->first.second);
    due_.erase(first);
    lock.unlock();
    callback();
    lock.lock();
  }
}

}  // namespace ca
