#pragma once
// Hands libvirt's events to the steps that wait for them, and to the reconciler. Events of an own operation are progress, not news:
// the reconciler is told only when nobody works on the instance (it asks the journal).

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "drivers/hypervisor.h"

namespace ca {

class DomainEvents final : public HypervisorListener {
 public:
  // Waits for events of one domain. Made before the call that causes them, so that none is missed.
  class Waiter {
   public:
    Waiter(DomainEvents& events, std::string uuid, std::set<DomainEvent::Kind> kinds);
    ~Waiter();
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    // True: one of the kinds came. False: `limit` passed, the connection went down, or interrupt() was called.
    bool wait(std::chrono::milliseconds limit);

   private:
    friend class DomainEvents;
    DomainEvents& events_;
    std::string uuid_;
    std::set<DomainEvent::Kind> kinds_;
    bool came_ = false;
    bool lost_ = false;
  };

  void on_domain_event(const DomainEvent& event) override;
  void on_connection(bool up, const std::string& reason) override;

  // Both are called on the driver's event thread and must not block.
  void set_sinks(std::function<void(const DomainEvent&)> event_sink, std::function<void(bool, const std::string&)> connection_sink);
  // Wakes every waiter that waits for `uuid`, as if the connection were lost (a delete wants the instance).
  void interrupt(const std::string& uuid);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<std::string, Waiter*> waiters_;
  std::function<void(const DomainEvent&)> event_sink_;
  std::function<void(bool, const std::string&)> connection_sink_;
};

}  // namespace ca
