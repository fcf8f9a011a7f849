#include "agent/journal/journal.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <ranges>
#include <set>

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

// A message that makes a verb throw is refused like any other bad one: kept, it would come again and hold up all others.
Result<Instance> check_acceptable(const Verb& verb, const Message& message, Tx& tx) {
  try {
    return verb.accept(message, tx);
  } catch (const std::exception& e) {
    return fail(Code::kInternal, fmt::format("{} can't be taken over: {}", message.method, e.what()), "report this defect");
  }
}

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
  InstanceAction action{
      message.request_id, accepted.instance_uuid, verb.action, message.user_id, message.project_id, tx.now_us(), tx.now_us(), "", {}};
  auto record = check_acceptable(verb, message, tx);
  if (!record) {
    accepted.refusal = record.error();
    if (verb.on_refused) CA_TRY_VOID(verb.on_refused(message, tx));
    if (!tx.get<Instance>(accepted.instance_uuid)) return std::nullopt;
    CA_TRY_VOID(settle_refused(verb, message, record.error(), tx));
    action.message = "Error";
    CA_TRY_VOID(tx.start_action(action));
    CA_TRY_VOID(tx.add_event(
        accepted.instance_uuid, message.request_id,
        {verb.method + "/accept", tx.now_us(), tx.now_us(), "Error", record.error().chain() + "; " + record.error().action()}));
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

// The API marks the record together with the order; once the order is refused, nobody else takes the mark back.
Result<void> Journal::settle_refused(const Verb& verb, const Message& message, const Error& refusal, Tx& tx) {
  CA_TRY(Instance record, tx.get<Instance>(instance_of(message)));
  if (verb.order == Order::kBuild) {
    CA_TRY(const bool ordered_before, tx.has_operation(verb.method, record.uuid));
    if (ordered_before || record.vm_state != VmState::kBuilding) return {};
    CA_TRY_VOID(verb.on_failure(tx, record, make_fault(refusal, tx.now_us())));
  } else {
    if (record.task_state == TaskState::kNone || has_open(record.uuid)) return {};
    record.task_state = TaskState::kNone;
  }
  record.updated_us = tx.now_us();
  return tx.put(record);
}

Result<std::size_t> Journal::recover() {
  CA_TRY(auto open, store_.open_operations());
  std::vector<std::shared_ptr<Run>> runs;
  for (Operation& op : open) {
    const auto verb = verbs_.find(op.method);
    const bool in_range = verb != verbs_.end() && op.next_step < static_cast<std::int64_t>(verb->second.steps.size());
    if (!in_range) {
      spdlog::error("operation {} ({}) of {} is of another version of the agent and can't be resumed", op.id, op.method, op.instance_uuid);
      CA_TRY_VOID(give_up_foreign(std::move(op)));
      continue;
    }
    spdlog::info("resuming {} of {} at step {}", verb->second.action, op.instance_uuid,
                 op.next_step < 0 ? "end" : verb->second.steps[static_cast<std::size_t>(op.next_step)].name);
    runs.push_back(std::make_shared<Run>(*this, verb->second, std::move(op)));
  }
  // What a later delete ends must know so before it runs another step.
  std::set<Uuid> deleted;
  for (const auto& run : std::views::reverse(runs)) {
    if (deleted.contains(run->op().instance_uuid)) run->cancel();
    if (run->verb().cancels_others) deleted.insert(run->op().instance_uuid);
  }
  for (const auto& run : runs) enqueue(run);
  return runs.size();
}

// An operation whose step this agent doesn't have: it ends here rather than leave its instance in a state nobody works on.
Result<void> Journal::give_up_foreign(Operation op) {
  const auto verb = verbs_.find(op.method);
  return store_.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    const Error error = fail(Code::kInternal, fmt::format("{} was begun by another version of the agent, which had other steps", op.method),
                             "delete the instance, or start that version again")
                            .value();
    op.state = Operation::State::kFailed;
    op.error = make_fault(error, tx.now_us());
    CA_TRY_VOID(tx.update_operation(op));
    CA_TRY_VOID(tx.finish_action(op.instance_uuid, op.request_id, "Error"));
    CA_TRY_VOID(tx.add_event(op.instance_uuid, op.request_id,
                             {op.method + "/resume", tx.now_us(), tx.now_us(), "Error", error.chain() + "; " + error.action()}));
    auto record = tx.get<Instance>(op.instance_uuid);
    if (!record) return {};
    if (verb != verbs_.end()) {
      CA_TRY_VOID(verb->second.on_failure(tx, *record, *op.error));
    } else {
      record->vm_state = VmState::kError;
      record->task_state = TaskState::kNone;
      record->fault = op.error;
    }
    record->updated_us = tx.now_us();
    return tx.put(*record);
  });
}

void Journal::enqueue(std::shared_ptr<Run> run) {
  std::shared_ptr<Run> to_start;
  std::vector<std::shared_ptr<Run>> to_wake, to_let_through;
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
        if (other->waits_at_gate) {
          std::erase(gates_.at(other->verb().method)->waiting, other);
          other->waits_at_gate = false;
          to_let_through.push_back(other);
        }
      }
    }
    strand->queue.push_back(run);
    ++stats_.open;
    if (strand->queue.size() == 1) to_start = run;
  }
  if (cancelled && cancel_) cancel_(run->op().instance_uuid);
  for (const auto& other : to_wake) unpark(other);
  for (const auto& other : to_let_through) work_on(other);
  if (to_start) submit(to_start);
}

void Journal::submit(std::shared_ptr<Run> run) {
  {
    const std::lock_guard lock(mutex_);
    if (draining_ || !pass_gate(run)) return;
  }
  work_on(std::move(run));
}

// False: it waits; leave_gate() of another one lets it through. With the mutex held.
bool Journal::pass_gate(const std::shared_ptr<Run>& run) {
  // What is to end for a delete only undoes, and that delete waits for it.
  if (run->verb().at_once == 0 || run->cancelled()) return true;
  auto& gate = gates_[run->verb().method];
  if (!gate) gate = std::make_unique<Gate>();
  if (gate->inside >= run->verb().at_once) {
    run->waits_at_gate = true;
    gate->waiting.push_back(run);
    return false;
  }
  ++gate->inside;
  run->inside_gate = true;
  return true;
}

// The one that may run now in its place. With the mutex held.
std::shared_ptr<Run> Journal::leave_gate(Run& run) {
  if (!run.inside_gate) return nullptr;
  run.inside_gate = false;
  Gate& gate = *gates_.at(run.verb().method);
  if (gate.waiting.empty()) {
    --gate.inside;
    return nullptr;
  }
  auto next = std::move(gate.waiting.front());
  gate.waiting.pop_front();
  next->waits_at_gate = false;
  next->inside_gate = true;
  return next;
}

void Journal::work_on(std::shared_ptr<Run> run) {
  workers_.submit([this, run](TaskLease& lease) {
    {
      const std::lock_guard lock(mutex_);
      if (draining_) return;
      ++running_;
    }
    if (run->drive(lease)) left();
  });
}

// A worker is through with the run it drove.
void Journal::left() {
  const std::lock_guard lock(mutex_);
  --running_;
  ended_.notify_all();
}

void Journal::finished(const std::shared_ptr<Run>& run) {
  std::shared_ptr<Run> next, let_through;
  const Uuid uuid = run->op().instance_uuid;
  {
    const std::lock_guard lock(mutex_);
    let_through = leave_gate(*run);
    --stats_.open;
    const auto strand = strands_.find(uuid);
    strand->second->queue.pop_front();
    if (strand->second->queue.empty()) {
      strands_.erase(strand);
    } else {
      next = strand->second->queue.front();
    }
  }
  if (let_through) work_on(let_through);
  if (next) {
    submit(next);
  } else if (idle_) {
    idle_(uuid);
  }
}

void Journal::park(const std::shared_ptr<Run>& run, std::chrono::milliseconds delay) {
  std::shared_ptr<Run> let_through;
  {
    const std::lock_guard lock(mutex_);
    if (draining_) return;
    let_through = leave_gate(*run);
    ++stats_.parked;
    ++stats_.retried_steps;
    // A delete that came during the attempt found nothing parked to wake.
    if (run->cancelled() && run->op().state == Operation::State::kOpen && !run->verb().must_finish) delay = std::chrono::milliseconds(0);
    run->park_timer = timers_.after(delay, [this, run] { unpark(run); });
  }
  if (let_through) work_on(let_through);
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
