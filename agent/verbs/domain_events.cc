#include "agent/verbs/domain_events.h"

namespace ca {

DomainEvents::Waiter::Waiter(DomainEvents& events, std::string uuid, std::set<DomainEvent::Kind> kinds)
    : events_(events), uuid_(std::move(uuid)), kinds_(std::move(kinds)) {
  const std::lock_guard lock(events_.mutex_);
  events_.waiters_.emplace(uuid_, this);
}

DomainEvents::Waiter::~Waiter() {
  const std::lock_guard lock(events_.mutex_);
  const auto [first, last] = events_.waiters_.equal_range(uuid_);
  for (auto at = first; at != last; ++at) {
    if (at->second != this) continue;
    events_.waiters_.erase(at);
    return;
  }
}

bool DomainEvents::Waiter::wait(std::chrono::milliseconds limit) {
  std::unique_lock lock(events_.mutex_);
  events_.changed_.wait_for(lock, limit, [this] { return came_ || lost_; });
  return came_;
}

void DomainEvents::on_domain_event(const DomainEvent& event) {
  std::function<void(const DomainEvent&)> sink;
  {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = waiters_.equal_range(event.uuid);
    for (auto at = first; at != last; ++at) {
      if (at->second->kinds_.contains(event.kind)) at->second->came_ = true;
    }
    changed_.notify_all();
    sink = event_sink_;
  }
  if (sink) sink(event);
}

void DomainEvents::on_connection(bool up, const std::string& reason) {
  std::function<void(bool, const std::string&)> sink;
  {
    const std::lock_guard lock(mutex_);
    if (!up) {
      for (auto& [uuid, waiter] : waiters_) waiter->lost_ = true;
      changed_.notify_all();
    }
    sink = connection_sink_;
  }
  if (sink) sink(up, reason);
}

void DomainEvents::set_sinks(std::function<void(const DomainEvent&)> event_sink,
                             std::function<void(bool, const std::string&)> connection_sink) {
  const std::lock_guard lock(mutex_);
  event_sink_ = std::move(event_sink);
  connection_sink_ = std::move(connection_sink);
}

void DomainEvents::interrupt(const std::string& uuid) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = waiters_.equal_range(uuid);
  for (auto at = first; at != last; ++at) at->second->lost_ = true;
  changed_.notify_all();
}

}  // namespace ca
