#include "drivers/hypervisor/fake/faults.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ca {
namespace {

Result<void> take(std::map<int, Error>& errors, int number) {
  const auto it = errors.find(number);
  if (it == errors.end()) return {};
  Error error = std::move(it->second);
  errors.erase(it);
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace

void Faults::fail(const std::string& method, int nth, Error error) {
  const std::lock_guard lock(mutex_);
  Plan& plan = plans_[method];
  plan.before[plan.entered + nth] = std::move(error);
}

void Faults::fail_always(const std::string& method, Error error) {
  const std::lock_guard lock(mutex_);
  plans_[method].always = {std::move(error)};
}

void Faults::fail_after_effect(const std::string& method, int nth, Error error) {
  const std::lock_guard lock(mutex_);
  Plan& plan = plans_[method];
  plan.after[plan.left + nth] = std::move(error);
}

void Faults::hang(const std::string& method) {
  const std::lock_guard lock(mutex_);
  plans_[method].hanging = true;
}

void Faults::release(const std::string& method) {
  const std::lock_guard lock(mutex_);
  plans_[method].hanging = false;
  changed_.notify_all();
}

void Faults::release_all() {
  const std::lock_guard lock(mutex_);
  for (auto& [method, plan] : plans_) plan.hanging = false;
  changed_.notify_all();
}

bool Faults::wait_until_hung(const std::string& method, int count, int seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(seconds), [&] { return plans_[method].hung >= count; });
}

void Faults::clear() {
  const std::lock_guard lock(mutex_);
  for (auto& [method, plan] : plans_) {
    plan.before.clear();
    plan.after.clear();
    plan.always.clear();
    plan.hanging = false;
  }
  changed_.notify_all();
}

std::vector<FakeCall> Faults::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

int Faults::count(const std::string& method) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::ranges::count(calls_, method, &FakeCall::method));
}

int Faults::count(const std::string& method, const std::string& subject) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::ranges::count_if(calls_, [&](const FakeCall& call) { return call.method == method && call.subject == subject; }));
}

void Faults::forget_calls() {
  const std::lock_guard lock(mutex_);
  calls_.clear();
}

Result<void> Faults::enter(const std::string& method, const std::string& subject) {
  std::unique_lock lock(mutex_);
  calls_.push_back({method, subject});
  Plan& plan = plans_[method];  // a map's nodes stay where they are
  const int number = ++plan.entered;
  if (plan.hanging) {
    ++plan.hung;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !plan.hanging; });
    --plan.hung;
  }
  CA_TRY_VOID(take(plan.before, number));
  if (!plan.always.empty()) return tl::unexpected<Error>(plan.always.front());
  return {};
}

Result<void> Faults::leave(const std::string& method) {
  const std::lock_guard lock(mutex_);
  Plan& plan = plans_[method];
  return take(plan.after, ++plan.left);
}

}  // namespace ca
