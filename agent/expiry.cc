#include "agent/expiry.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/verbs/life.h"

namespace ca {
namespace {

constexpr std::int64_t kUs = 1'000'000;
constexpr std::chrono::milliseconds kSoonest{500};
constexpr std::chrono::milliseconds kLatest{60'000};

bool passed(std::int64_t since_us, std::int64_t seconds, std::int64_t now_us) {
  return seconds > 0 && since_us > 0 && now_us - since_us >= seconds * kUs;
}

}  // namespace

std::vector<Due> due_instances(const Config& config, const std::vector<std::shared_ptr<const Instance>>& instances, std::int64_t now_us) {
  std::vector<Due> due;
  for (const auto& instance : instances) {
    if (instance->task_state != TaskState::kNone) continue;
    if (instance->vm_state == VmState::kSoftDeleted && passed(instance->soft_deleted_us, config.reclaim_instance_interval, now_us)) {
      due.push_back({instance->uuid, true});
    } else if (passed(resized_us(*instance), config.resize_confirm_window, now_us)) {
      due.push_back({instance->uuid, false});
    }
  }
  return due;
}

std::chrono::milliseconds expiry_interval(const Config& config) {
  std::int64_t shortest = 0;
  for (const std::int64_t seconds : {config.reclaim_instance_interval, config.resize_confirm_window}) {
    if (seconds > 0) shortest = shortest == 0 ? seconds : std::min(shortest, seconds);
  }
  if (shortest == 0) return std::chrono::milliseconds{0};
  // A tenth late at most.
  return std::clamp(std::chrono::milliseconds{std::min<std::int64_t>(shortest, 3600) * 100}, kSoonest, kLatest);
}

Expiry::Expiry(const Config& config, const Clock& clock, Store& store, TimerQueue& timers, WorkerPool& workers, Publish publish)
    : config_(config), clock_(clock), store_(store), timers_(timers), workers_(workers), publish_(std::move(publish)) {}

void Expiry::start() {
  const auto interval = expiry_interval(config_);
  if (interval.count() == 0) return;
  timers_.after(interval, [this] {
    workers_.submit([this](TaskLease&) { look(); });
    start();
  });
}

void Expiry::look() {
  const std::vector<Due> due = due_instances(config_, store_.all<Instance>(), clock_.wall_us());
  if (due.empty()) return;
  const auto written = store_.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    for (const Due& one : due) CA_TRY_VOID(order(tx, one));
    return {};
  });
  if (!written) spdlog::error("instances whose time is over can't be ordered away: {}", written.error().chain());
}

Result<void> Expiry::order(Tx& tx, const Due& due) {
  auto record = tx.get<Instance>(due.uuid);
  const VmState wanted = due.reclaim ? VmState::kSoftDeleted : VmState::kResized;
  // An order came since the look.
  if (!record || record->task_state != TaskState::kNone || record->vm_state != wanted) return {};
  record->task_state = due.reclaim ? TaskState::kDeleting : TaskState::kResizeConfirming;
  record->updated_us = tx.now_us();
  CA_TRY_VOID(tx.put(*record));
  spdlog::info(
      "instance {}: {}", due.uuid,
      due.reclaim ? "reclaim_instance_interval has passed, it is deleted" : "resize_confirm_window has passed, its resize is confirmed");
  return publish_(tx, due.reclaim ? "terminate_instance" : "confirm_resize", due.uuid);
}

}  // namespace ca
