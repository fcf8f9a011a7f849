#pragma once
// A HypervisorListener that keeps what it hears and lets a test wait for it.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "drivers/hypervisor.h"

namespace ca {

class RecordingListener final : public HypervisorListener {
 public:
  void on_domain_event(const DomainEvent& event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    changed_.notify_all();
  }
  void on_connection(bool up, const std::string& reason) override {
    const std::lock_guard lock(mutex_);
    connections_.emplace_back(up, reason);
    changed_.notify_all();
  }

  // Waits until the `count`th report of `up` came; its reason, or "" after `limit`.
  std::string wait_for_connection(bool up, int count = 1, std::chrono::seconds limit = std::chrono::seconds(60)) {
    std::unique_lock lock(mutex_);
    std::string reason;
    changed_.wait_for(lock, limit, [&] {
      int left = count;
      for (const auto& [was_up, why] : connections_) {
        if (was_up == up && --left == 0) {
          reason = why.empty() ? "no reason" : why;
          return true;
        }
      }
      return false;
    });
    return reason;
  }
  bool wait_for_event(const std::string& uuid, DomainEvent::Kind kind, int count = 1,
                      std::chrono::seconds limit = std::chrono::seconds(30)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return matching(uuid, kind) >= count; });
  }
  int count(const std::string& uuid, DomainEvent::Kind kind) {
    const std::lock_guard lock(mutex_);
    return matching(uuid, kind);
  }
  std::vector<DomainEvent> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

 private:
  int matching(const std::string& uuid, DomainEvent::Kind kind) const {
    int found = 0;
    for (const auto& event : events_) found += event.uuid == uuid && event.kind == kind ? 1 : 0;
    return found;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<DomainEvent> events_;
  std::vector<std::pair<bool, std::string>> connections_;
};

}  // namespace ca
