#pragma once
// Faults that a test scripts into a fake driver, and the record of what was called. Thread-safe.
//
// Methods are named as in the interface ("define", "plug", ...). "Nth" counts from the moment the fault is set: 1 is the next call.

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace ca {

struct FakeCall {
  std::string method;
  std::string subject;  // uuid of the domain, network or port; empty where there is none
};

class Faults {
 public:
  ~Faults() { release_all(); }

  // The nth call fails and does nothing.
  void fail(const std::string& method, int nth, Error error);
  // Every call fails and does nothing, until clear().
  void fail_always(const std::string& method, Error error);
  // The nth call takes effect and then fails, as when the connection breaks before the answer.
  void fail_after_effect(const std::string& method, int nth, Error error);
  // Calls block, before any effect, until release().
  void hang(const std::string& method);
  void release(const std::string& method);
  void release_all();
  // Until `count` calls of `method` hang; false after `seconds`.
  [[nodiscard]] bool wait_until_hung(const std::string& method, int count = 1, int seconds = 10);
  // Forgets every fault, and releases what hangs. The record of calls stays.
  void clear();

  [[nodiscard]] std::vector<FakeCall> calls() const;
  [[nodiscard]] int count(const std::string& method) const;
  [[nodiscard]] int count(const std::string& method, const std::string& subject) const;
  void forget_calls();

  // For the fakes: first thing and last thing of every method.
  Result<void> enter(const std::string& method, const std::string& subject);
  Result<void> leave(const std::string& method);

 private:
  struct Plan {
    int entered = 0;
    int left = 0;
    std::map<int, Error> before;  // by number of the call
    std::map<int, Error> after;
    std::vector<Error> always;  // none or one
    bool hanging = false;
    int hung = 0;
  };

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Plan> plans_;
  std::vector<FakeCall> calls_;
};

}  // namespace ca
