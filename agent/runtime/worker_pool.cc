#include "agent/runtime/worker_pool.h"

#include <spdlog/spdlog.h>

namespace ca {

namespace {
constexpr std::chrono::seconds kIdleThreadEnds{5};
}

// Shared with the workers, so that a hung one that comes back after shutdown still finds it.
struct WorkerPool::State : std::enable_shared_from_this<WorkerPool::State> {
  State(TimerQueue& t, std::size_t threads, std::size_t hung_cap) : timers(t), max_threads(threads), max_hung(hung_cap) {}

  TimerQueue& timers;
  const std::size_t max_threads;
  const std::size_t max_hung;
  mutable std::mutex mutex;
  std::condition_variable work;
  std::condition_variable idle;
  std::deque<std::function<void(TaskLease&)>> queue;
  std::size_t threads = 0;  // live and not hung
  std::size_t waiting = 0;
  std::size_t hung = 0;
  std::uint64_t hung_total = 0;
  bool stopping = false;

  void spawn_if_needed() {
    if (waiting >= queue.size() || threads >= max_threads) return;
    ++threads;
    std::thread([self = shared_from_this()] { self->worker(); }).detach();
  }

  void worker();
};

namespace {

template <typename State>
class Lease final : public TaskLease, public std::enable_shared_from_this<Lease<State>> {
 public:
  explicit Lease(std::shared_ptr<State> state) : state_(std::move(state)) {}

  bool rearm(std::chrono::milliseconds limit, std::function<void()> expired) override {
    const std::lock_guard lock(state_->mutex);
    if (abandoned_) return false;
    stop_timer();
    const std::uint64_t term = ++term_;
    timer_ = state_->timers.after(limit, [self = this->shared_from_this(), term, expired = std::move(expired)] {
      if (self->abandon(term)) expired();
    });
    return true;
  }

  bool disarm() override {
    const std::lock_guard lock(state_->mutex);
    ++term_;
    stop_timer();
    return !abandoned_;
  }

 private:
  void stop_timer() {
    if (timer_ != 0) state_->timers.cancel(timer_);
    timer_ = 0;
  }

  bool abandon(std::uint64_t term) {
    const std::lock_guard lock(state_->mutex);
    if (term != term_ || abandoned_) return false;
    abandoned_ = true;
    timer_ = 0;
    ++state_->hung;
    ++state_->hung_total;
    // Below the cap the hung worker gives its place to a new one.
    if (state_->hung <= state_->max_hung) {
      --state_->threads;
      gave_place_ = true;
      state_->spawn_if_needed();
    }
    spdlog::error("a worker hangs in a call that is past its deadline ({} hung now)", state_->hung);
    return true;
  }

  friend State;
  std::shared_ptr<State> state_;
  TimerQueue::Id timer_ = 0;
  std::uint64_t term_ = 0;
  bool abandoned_ = false;
  bool gave_place_ = false;
};

}  // namespace

void WorkerPool::State::worker() {
  std::unique_lock lock(mutex);
  while (true) {
    if (queue.empty()) {
      if (stopping) break;
      ++waiting;
      const bool woken = work.wait_for(lock, kIdleThreadEnds, [this] { return !queue.empty() || stopping; });
      --waiting;
      if (!woken && queue.empty()) break;
      continue;
    }
    auto run = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    auto lease = std::make_shared<Lease<State>>(shared_from_this());
    run(*lease);
    run = nullptr;
    const bool kept = lease->disarm();
    lock.lock();
    if (!kept) {
      --hung;
      if (lease->gave_place_) {
        idle.notify_all();
        return;
      }
    }
  }
  --threads;
  idle.notify_all();
}

WorkerPool::WorkerPool(TimerQueue& timers, std::size_t max_threads, std::size_t max_hung)
    : state_(std::make_shared<State>(timers, max_threads, max_hung)) {}

WorkerPool::~WorkerPool() { drain(std::chrono::milliseconds(0)); }

void WorkerPool::submit(std::function<void(TaskLease&)> run) {
  const std::lock_guard lock(state_->mutex);
  if (state_->stopping) return;
  state_->queue.push_back(std::move(run));
  state_->spawn_if_needed();
  state_->work.notify_one();
}

WorkerStats WorkerPool::stats() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->threads + state_->hung, state_->threads - state_->waiting, state_->hung, state_->queue.size(), state_->hung_total};
}

bool WorkerPool::drain(std::chrono::milliseconds limit) {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->queue.clear();
  state_->work.notify_all();
  // A hung worker that gave its place to another is no thread of ours any more, but it still uses what its task uses.
  return state_->idle.wait_for(lock, limit, [this] { return state_->threads == 0 && state_->hung == 0; });
}

}  // namespace ca
