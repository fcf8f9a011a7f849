#include "agent/journal/journal.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/journal/run.h"
#include "agent/journal/strand.h"
#include "agent/runtime/fault_point.h"

namespace ca {

Journal::Journal(Store& store, WorkerPool& workers, TimerQueue& timers, const Clock& clock, std::chrono::seconds default_deadline)
    : store_(store), workers_(workers), timers_(timers), clock_(clock), default_deadline_(default_deadline) {}

Journal::~Journal() = default;

void Journal::add(Verb verb) { verbs_[verb.method] = std::move(verb); }

void Journal::on_reply(std::function<void(const Operation&, const Result<Json>&)> reply) { reply_ = std::move(reply); }

void Journal::on_idle(std::function<void(const Uuid&)> callback) { idle_ = std::move(callback); }

void Journal::on_cancel(std::function<void(const Uuid&)> callback) { cancel_ = std::move(callback); }

namespace {

Uuid instance_of(const Message& message) {
  const auto instance = message.args.find("instance");
  if (instance == message.args.end() || !instance->is_object()) return {};
  const auto uuid = instance->find("uuid");
  return uuid != instance->end() && uuid->is_string() ? uuid->get<std::string>() : Uuid{};
}

}  // namespace

Result<Accepted> Journal::accept(const Message& message, const std::function<Result<void>(Tx&)>& acknowledge) {
  const auto verb = verbs_.find(message.method);
  Accepted accepted;
  accepted.instance_uuid = instance_of(message);
  std::optional<Operation> taken;
  CA_TRY_VOID(fault::hit("accept:before"));
  CA_TRY_VOID(store_.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY_VOID(acknowledge(tx));
    CA_TRY(const bool fresh, tx.mark_seen(message.unique_id));
    if (!fresh) {
      accepted.duplicate = true;
      return {};
    }
    if (verb == verbs_.end()) {
      accepted.refusal = fail(Code::kInvalid, fmt::format("no verb for method '{}'", message.method)).value();
      return {};
    }
    CA_TRY(taken, take_over(verb->second, message, tx, accepted));
    return {};
  }));
  if (auto hit = fault::hit("accept:committed"); !hit) spdlog::warn("{}", hit.error().chain());
  if (accepted.duplicate) spdlog::info("message {} ({}) is a duplicate; dropped", message.unique_id, message.method);
  if (taken) enqueue(std::make_shared<Run>(*this, verb->second, std::move(*taken)));
  return accepted;
}

Result<std::optional<Operation>> Journal::take_over(const Verb& verb, const Message& message, Tx& tx, Accepted& accepted) {
  InstanceAction action{message.request_id, accepted.instance_uuid, verb.action, message.user_id, message.project_id,
                        tx.now_us(), tx.now_us(), "", {}};
  auto record = verb.accept(message, tx);
  if (!record) {
    accepted.refusal = record.error();
    auto existing = tx.get<Instance>(accepted.instance_uuid);
    if (!existing) return std::nullopt;
    // What the API marked for this order is taken back, unless another order is under way.
    if (verb.order != Order::kBuild && existing->task_state != TaskState::kNone && !has_open(accepted.instance_uuid)) {
      existing->task_state = TaskState::kNone;
      CA_TRY_VOID(tx.put(*existing));
    }
    action.message = "Error";
    CA_TRY_VOID(tx.start_action(action));
    CA_TRY_VOID(tx.add_event(accepted.instance_uuid, message.request_id,
                             {verb.method + "/accept", tx.now_us(), tx.now_us(), "Error",
                              record.error().chain() + "; " + record.error().action()}));
    return std::nullopt;
  }
  record->updated_us = tx.now_us();
  CA_TRY_VOID(tx.put(*record));
  Operation op;
  op.unique_id = message.unique_id;
  op.method = message.method;
  op.instance_uuid = record->uuid;
  op.request_id = message.request_id;
  op.args = message.args;
  op.msg_id = message.msg_id;
  op.reply_q = message.reply_q;
  op.created_us = tx.now_us();
  op.deadline_us = tx.now_us() + (message.timeout_s ? static_cast<std::int64_t>(*message.timeout_s * 1e6)
                                                    : std::chrono::microseconds(default_deadline_).count());
  CA_TRY(op.id, tx.insert_operation(op));
  CA_TRY_VOID(tx.start_action(action));
  return op;
}

Result<std::size_t> Journal::recover() {
  CA_TRY(auto open, store_.open_operations());
  std::size_t resumed = 0;
  for (Operation& op : open) {
    const auto verb = verbs_.find(op.method);
    const bool in_range = verb != verbs_.end() && op.next_step < static_cast<std::int64_t>(verb->second.steps.size());
    if (!in_range) {
      spdlog::error("operation {} ({}) of {} is of another version of the agent and can't be resumed", op.id, op.method, op.instance_uuid);
      continue;
    }
    spdlog::info("resuming {} of {} at step {}", verb->second.action, op.instance_uuid,
                 op.next_step < 0 ? "end" : verb->second.steps[static_cast<std::size_t>(op.next_step)].name);
    enqueue(std::make_shared<Run>(*this, verb->second, std::move(op)));
    ++resumed;
  }
  return resumed;
}

void Journal::enqueue(std::shared_ptr<Run> run) {
  std::shared_ptr<Run> to_start;
  std::vector<std::shared_ptr<Run>> to_wake;
  bool cancelled = false;
  {
    const std::lock_guard lock(mutex_);
    auto& strand = strands_[run->op().instance_uuid];
    if (!strand) strand = std::make_unique<Strand>();
    if (run->verb().cancels_others) {
      for (const auto& other : strand->queue) {
        other->cancel();
        cancelled = true;
        if (other->park_timer != 0) to_wake.push_back(other);
      }
    }
    strand->queue.push_back(run);
    ++stats_.open;
    if (strand->queue.size() == 1) to_start = run;
  }
  if (cancelled && cancel_) cancel_(run->op().instance_uuid);
  for (const auto& other : to_wake) unpark(other);
  if (to_start) submit(to_start);
}

void Journal::submit(std::shared_ptr<Run> run) {
  {
    const std::lock_guard lock(mutex_);
    if (draining_) return;
  }
  workers_.submit([this, run](TaskLease& lease) {
    {
      const std::lock_guard lock(mutex_);
      if (draining_) return;
      ++running_;
    }
    run->drive(lease);
    const std::lock_guard lock(mutex_);
    --running_;
    ended_.notify_all();
  });
}

void Journal::finished(const std::shared_ptr<Run>& run) {
  std::shared_ptr<Run> next;
  const Uuid uuid = run->op().instance_uuid;
  {
    const std::lock_guard lock(mutex_);
    --stats_.open;
    const auto strand = strands_.find(uuid);
    strand->second->queue.pop_front();
    if (strand->second->queue.empty()) {
      strands_.erase(strand);
    } else {
      next = strand->second->queue.front();
    }
  }
  if (next) {
    submit(next);
  } else if (idle_) {
    idle_(uuid);
  }
}

void Journal::park(const std::shared_ptr<Run>& run, std::chrono::milliseconds delay) {
  const std::lock_guard lock(mutex_);
  if (draining_) return;
  ++stats_.parked;
  ++stats_.retried_steps;
  run->park_timer = timers_.after(delay, [this, run] { unpark(run); });
}

void Journal::unpark(const std::shared_ptr<Run>& run) {
  {
    const std::lock_guard lock(mutex_);
    if (run->park_timer == 0) return;
    timers_.cancel(run->park_timer);
    run->park_timer = 0;
    --stats_.parked;
  }
  submit(run);
}

void Journal::wake_parked() {
  std::vector<std::shared_ptr<Run>> parked;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [uuid, strand] : strands_) {
      if (!strand->queue.empty() && strand->queue.front()->park_timer != 0) parked.push_back(strand->queue.front());
    }
  }
  for (const auto& run : parked) unpark(run);
}

bool Journal::has_open(const Uuid& instance) const {
  const std::lock_guard lock(mutex_);
  return strands_.contains(instance);
}

JournalStats Journal::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

bool Journal::drain(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  draining_ = true;
  return ended_.wait_for(lock, limit, [this] { return running_ == 0; });
}

std::vector<std::string> Journal::fault_points() const {
  std::vector<std::string> points{"accept:before", "accept:committed"};
  for (const auto& [method, verb] : verbs_) {
    for (const Step& step : verb.steps) {
      for (const char* where : {"before", "ran", "recorded"}) points.push_back(fmt::format("{}/{}:{}", method, step.name, where));
      if (!step.undo) continue;
      for (const char* where : {"undo_before", "undone", "undo_recorded"}) {
        points.push_back(fmt::format("{}/{}:{}", method, step.name, where));
      }
    }
  }
  return points;
}

}  // namespace ca
