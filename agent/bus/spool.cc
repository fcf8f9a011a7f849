#include "agent/bus/spool.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/bus/envelope.h"

namespace ca {
namespace {
constexpr std::size_t kRowsAtOnce = 64;
constexpr std::chrono::milliseconds kRetryAfter{1000};
}  // namespace

SpoolBus::~SpoolBus() { stop(); }

void SpoolBus::start(BusHandler& handler) {
  thread_ = std::thread([this, &handler] { loop(handler); });
}

void SpoolBus::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void SpoolBus::wake() {
  const std::lock_guard lock(mutex_);
  pending_ = true;
  changed_.notify_one();
}

void SpoolBus::loop(BusHandler& handler) {
  std::int64_t last = 0;
  bool refused = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (refused) {
        changed_.wait_for(lock, kRetryAfter, [this] { return stopping_; });
      } else {
        changed_.wait(lock, [this] { return pending_ || stopping_; });
      }
      if (stopping_) return;
      pending_ = false;
    }
    refused = false;
    auto rows = store_.spooled(last, kRowsAtOnce);
    if (!rows) {
      spdlog::error("cannot read the spool: {}", rows.error().chain());
      refused = true;
      continue;
    }
    for (const SpooledMessage& row : *rows) {
      const auto taken = handler.on_message(row.body, [id = row.id](Tx& tx) { return tx.spool_erase(id); });
      if (!taken) {
        spdlog::error("a message could not be taken over and stays in the spool: {}; {}", taken.error().chain(), taken.error().action());
        refused = true;
        break;
      }
      last = row.id;
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    if (rows->size() == kRowsAtOnce) wake();
  }
}

Result<void> SpoolBus::publish(Tx& tx, const std::string& topic, const Message& message) {
  CA_TRY_VOID(tx.spool_push(topic, encode_envelope(message)));
  tx.after_commit([this] { wake(); });
  return {};
}

Result<void> SpoolBus::publish_raw(const std::string& topic, std::string_view body) {
  if (body.size() > kLargestMessage) {
    return fail(Code::kTooLarge, fmt::format("a message of {} bytes; at most {} are taken", body.size(), kLargestMessage));
  }
  return store_.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY_VOID(tx.spool_push(topic, std::string(body)));
    tx.after_commit([this] { wake(); });
    return {};
  });
}

void SpoolBus::reply(const std::string& reply_q, const std::string& msg_id, const std::string& body) {
  Waiter waiter;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiters_.find(msg_id);
    if (found == waiters_.end()) {
      spdlog::debug("nobody waits on {} for the reply to {}", reply_q, msg_id);
      return;
    }
    waiter = std::move(found->second);
    waiters_.erase(found);
  }
  timers_.cancel(waiter.timer);
  waiter.on_reply(body);
}

void SpoolBus::expect_reply(const std::string& msg_id, std::chrono::milliseconds limit, std::function<void(Result<std::string>)> on_reply) {
  const std::lock_guard lock(mutex_);
  const TimerQueue::Id timer = timers_.after(limit, [this, msg_id] {
    Waiter waiter;
    {
      const std::lock_guard inner(mutex_);
      const auto found = waiters_.find(msg_id);
      if (found == waiters_.end()) return;
      waiter = std::move(found->second);
      waiters_.erase(found);
    }
    waiter.on_reply(fail(Code::kTimeout, "no reply to message " + msg_id + " in time"));
  });
  waiters_[msg_id] = Waiter{std::move(on_reply), timer};
}

}  // namespace ca
