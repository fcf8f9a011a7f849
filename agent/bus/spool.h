#pragma once
// The standalone bus: a table in the store. A message is a row; acknowledging removes it in the same transaction in which the
// journal takes the operation over, so there is no moment in which it is in neither or in both.

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "agent/bus/bus.h"
#include "agent/runtime/timer_queue.h"
#include "agent/store/store.h"

namespace ca {

class SpoolBus final : public Bus {
 public:
  SpoolBus(Store& store, TimerQueue& timers) : store_(store), timers_(timers) {}
  ~SpoolBus() override;

  void start(BusHandler& handler) override;
  void stop() override;
  Result<void> publish(Tx& tx, const std::string& topic, const Message& message) override;
  Result<void> publish_raw(const std::string& topic, std::string_view body) override;
  void reply(const std::string& reply_q, const std::string& msg_id, const std::string& body) override;
  void expect_reply(const std::string& msg_id, std::chrono::milliseconds limit, std::function<void(Result<std::string>)> on_reply) override;

 private:
  struct Waiter {
    std::function<void(Result<std::string>)> on_reply;
    TimerQueue::Id timer = 0;
  };

  void loop(BusHandler& handler);
  void wake();

  Store& store_;
  TimerQueue& timers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool pending_ = true;  // rows may be left from before
  bool stopping_ = false;
  std::map<std::string, Waiter> waiters_;
  std::thread thread_;
};

}  // namespace ca
