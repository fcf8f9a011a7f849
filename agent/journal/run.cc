#include "agent/journal/run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/runtime/fault_point.h"

namespace ca {
namespace {

constexpr int kTriesOfMustFinish = 6;
constexpr int kTriesOfUndo = 4;

bool worth_waiting(Code code) { return code == Code::kUnavailable; }

std::chrono::milliseconds back_off(int waits) {
  return std::chrono::milliseconds(std::min<std::int64_t>(15'000, std::int64_t{250} << std::min(waits, 8)));
}

// The store's own trouble, not the step's: what the step did is still there, and running it again does no harm.
bool of_the_store(Code code) { return code == Code::kUnavailable || code == Code::kNoSpace || code == Code::kIo; }

// What a delete marked stays until that delete has run, whatever the operation before it writes.
void keep_delete_mark(const Verb& verb, TaskState before, Instance& record) {
  if (before == TaskState::kDeleting && !verb.cancels_others) record.task_state = before;
}

}  // namespace

Fault make_fault(const Error& error, std::int64_t now_us) {
  return {error.code, error.step, error.message, error.causes(), error.action(), now_us};
}

Error error_of(const Fault& fault) {
  Error error{.code = fault.code, .message = fault.message, .step = fault.step, .next_action = fault.next_action, .cause = nullptr};
  std::shared_ptr<const Error> inner;
  for (std::size_t i = fault.causes.size(); i > 1; --i) {
    inner = std::make_shared<const Error>(
        Error{.code = fault.code, .message = fault.causes[i - 1], .step = {}, .next_action = {}, .cause = inner});
  }
  error.cause = inner;
  return error;
}

std::string Run::point(const Step& step, std::string_view where) const { return fmt::format("{}/{}:{}", verb_.method, step.name, where); }

std::shared_ptr<StepContext> Run::context() const {
  const auto record = journal_.store_.get<Instance>(op_.instance_uuid);
  if (!record) return nullptr;
  return std::make_shared<StepContext>(op_, *record, cancelled_);
}

bool Run::drive(TaskLease& lease) {
  const auto self = shared_from_this();
  while (true) {
    {
      const std::lock_guard lock(journal_.mutex_);
      if (journal_.draining_) return true;
    }
    const Next next = op_.state == Operation::State::kOpen ? forward(lease) : backward(lease);
    if (next != Next::kAgain) return next == Next::kLeave;
  }
}

Run::Next Run::forward(TaskLease& lease) {
  const std::int64_t now = journal_.clock_.wall_us();
  const Step& step = verb_.steps[static_cast<std::size_t>(op_.next_step)];
  if (*cancelled_ && !verb_.must_finish) {
    return begin_undo(fail(Code::kCancelled, fmt::format("{} was ended by a delete of the instance", verb_.action)).value(), step.name,
                      now);
  }
  if (!verb_.must_finish && now > op_.deadline_us) {
    return begin_undo(fail(Code::kTimeout, fmt::format("the deadline of '{}' passed before step {}", verb_.action, step.name)).value(),
                      step.name, now);
  }
  const auto ctx = context();
  if (!ctx) {
    end(fail(Code::kNotFound, fmt::format("Instance {} could not be found.", op_.instance_uuid)), false);
    return Next::kLeave;
  }
  set_task_state(step);
  auto outcome = attempt(lease, step, step.run, ctx, false);
  if (!outcome) return Next::kAbandoned;
  if (!*outcome) return step_failed(step, std::move(*outcome).error(), now);
  return commit_step(ctx, step, now);
}

void Run::set_task_state(const Step& step) {
  if (step.task == TaskState::kNone) return;
  [[maybe_unused]] const auto written = journal_.store_.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    CA_TRY(Instance record, tx.get<Instance>(op_.instance_uuid));
    if (record.task_state == step.task || record.task_state == TaskState::kDeleting) return {};
    record.task_state = step.task;
    record.updated_us = tx.now_us();
    return tx.put(record);
  });
}

std::optional<Result<void>> Run::attempt(TaskLease& lease, const Step& step, const StepFunction& function,
                                         const std::shared_ptr<StepContext>& ctx, bool undoing) {
  const auto self = shared_from_this();
  if (!lease.rearm(step.limit, [self, ctx, &step, undoing] {
        ctx->abandon();
        self->expired(step, undoing);
      })) {
    return std::nullopt;
  }
  Result<void> outcome = run_between_faults(step, function, *ctx, undoing);
  // What follows is the store's: when that hangs, another worker would not get further.
  if (!lease.disarm()) return std::nullopt;
  if (!outcome && outcome.error().step.empty()) {
    Error named = std::move(outcome).error();
    named.step = fmt::format("{}/{}", verb_.method, step.name);
    outcome = tl::unexpected<Error>(std::move(named));
  }
  return outcome;
}

Result<void> Run::run_between_faults(const Step& step, const StepFunction& function, StepContext& ctx, bool undoing) const {
  CA_TRY_VOID(fault::hit(point(step, undoing ? "undo_before" : "before")));
  if (ctx.abandoned()) return fail(Code::kCancelled, "the attempt took too long");
  try {
    CA_TRY_VOID(function(ctx));
  } catch (const std::exception& e) {  // of a defect; one operation must not bring the agent down, and again at each start
    return fail(Code::kInternal, fmt::format("step {} of {} broke off: {}", step.name, verb_.action, e.what()), "report this defect");
  }
  return fault::hit(point(step, undoing ? "undone" : "ran"));
}

// On the timer thread: the attempt hangs. Its worker is lost for now; another one goes on, and counts as running in its place.
void Run::expired(const Step& step, bool undoing) {
  const auto self = shared_from_this();
  journal_.workers_.submit([self, &step, undoing](TaskLease& lease) {
    Error error = fail(Code::kTimeout, fmt::format("step {} did not end within {} ms", step.name, step.limit.count()),
                       "look at what it works with (libvirt, the file system, the network), then order it again")
                      .value();
    error.step = fmt::format("{}/{}", self->verb_.method, step.name);
    const std::int64_t now = self->journal_.clock_.wall_us();
    const Next next = undoing ? self->undo_failed(step, std::move(error), now) : self->step_failed(step, std::move(error), now);
    if (next == Next::kLeave || self->drive(lease)) self->journal_.left();
  });
}

Run::Next Run::step_failed(const Step& step, Error error, std::int64_t started_us) {
  const bool in_time = verb_.must_finish || journal_.clock_.wall_us() < op_.deadline_us;
  if (worth_waiting(error.code) && in_time && !(*cancelled_ && !verb_.must_finish)) return park(error);
  if (verb_.must_finish && ++failures_ < kTriesOfMustFinish) return park(error);
  return begin_undo(std::move(error), step.name, started_us);
}

Run::Next Run::park(const Error& error) {
  if (!said_parked_) {
    spdlog::warn("{} of {} waits: {}; {}", verb_.action, op_.instance_uuid, error.chain(), error.action());
    said_parked_ = true;
  }
  const auto delay = back_off(waits_++);
  // Once parked, another worker may drive this run at any moment: nothing of it is touched any more.
  journal_.park(shared_from_this(), delay);
  return Next::kLeave;
}

Run::Next Run::begin_undo(Error error, const std::string& step_name, std::int64_t started_us) {
  if (error.step.empty()) error.step = fmt::format("{}/{}", verb_.method, step_name);
  if (error.code != Code::kCancelled) {
    spdlog::error("{} of {} failed at {}: {}; {}", verb_.action, op_.instance_uuid, error.step, error.chain(), error.action());
  }
  const auto written = journal_.store_.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    Operation op = op_;
    op.state = Operation::State::kUndoing;
    op.error = make_fault(error, tx.now_us());
    CA_TRY_VOID(tx.update_operation(op));
    return tx.add_event(op.instance_uuid, op.request_id,
                        {fmt::format("{}/{}", verb_.method, step_name), started_us, tx.now_us(), "Error",
                         fmt::format("{} {}; {}", to_string(error.code), error.chain(), error.action())});
  });
  if (!written) return park(written.error());
  op_.state = Operation::State::kUndoing;
  op_.error = make_fault(error, journal_.clock_.wall_us());
  failures_ = waits_ = 0;
  return Next::kAgain;
}

Run::Next Run::backward(TaskLease& lease) {
  while (op_.next_step >= 0 && !verb_.steps[static_cast<std::size_t>(op_.next_step)].undo) --op_.next_step;
  if (op_.next_step < 0) return give_up();
  const Step& step = verb_.steps[static_cast<std::size_t>(op_.next_step)];
  const std::int64_t now = journal_.clock_.wall_us();
  const auto ctx = context();
  if (!ctx) return give_up();
  auto outcome = attempt(lease, step, step.undo, ctx, true);
  if (!outcome) return Next::kAbandoned;
  if (!*outcome) return undo_failed(step, std::move(*outcome).error(), now);
  const auto written = journal_.store_.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    Operation op = op_;
    --op.next_step;
    op.scratch = ctx->scratch();
    CA_TRY_VOID(tx.update_operation(op));
    if (ctx->changes().empty()) return {};
    CA_TRY(Instance record, tx.get<Instance>(op.instance_uuid));
    for (const RecordChange& change : ctx->changes()) CA_TRY_VOID(change(tx, record));
    return tx.put(record);
  });
  if (!written) {
    if (of_the_store(written.error().code)) return park(written.error());
    return undo_failed(step, written.error(), now);
  }
  --op_.next_step;
  op_.scratch = ctx->scratch();
  failures_ = waits_ = 0;
  {
    const std::lock_guard lock(journal_.mutex_);
    ++journal_.stats_.undone_steps;
  }
  if (auto hit = fault::hit(point(step, "undo_recorded")); !hit) spdlog::warn("{}", hit.error().chain());
  return Next::kAgain;
}

Run::Next Run::undo_failed(const Step& step, Error error, std::int64_t started_us) {
  if (worth_waiting(error.code) || ++failures_ < kTriesOfUndo) return park(error);
  spdlog::error("undoing {} of {} could not undo {}: {}; {}", verb_.action, op_.instance_uuid, step.name, error.chain(), error.action());
  const auto written = journal_.store_.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    Operation op = op_;
    --op.next_step;
    CA_TRY_VOID(tx.update_operation(op));
    return tx.add_event(op.instance_uuid, op.request_id,
                        {fmt::format("{}/{} (undo)", verb_.method, step.name), started_us, tx.now_us(), "Error", error.chain()});
  });
  if (!written) return park(written.error());
  --op_.next_step;
  failures_ = waits_ = 0;
  return Next::kAgain;
}

Fault Run::fault_of_op() const {
  if (op_.error) return *op_.error;
  return make_fault(fail(Code::kInternal, "why the operation failed was not kept").value(), journal_.clock_.wall_us());
}

Run::Next Run::give_up() {
  const Fault fault = fault_of_op();
  const auto written = journal_.store_.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    Operation op = op_;
    op.state = Operation::State::kFailed;
    CA_TRY_VOID(tx.update_operation(op));
    CA_TRY_VOID(tx.finish_action(op.instance_uuid, op.request_id, "Error"));
    auto record = tx.get<Instance>(op.instance_uuid);
    if (!record && record.error().code == Code::kNotFound) return {};  // there is nothing left to say it of
    if (!record) return tl::unexpected<Error>(std::move(record).error());
    const TaskState before = record->task_state;
    CA_TRY_VOID(verb_.on_failure(tx, *record, fault));
    keep_delete_mark(verb_, before, *record);
    record->updated_us = tx.now_us();
    return tx.put(*record);
  });
  if (!written) return park(written.error());
  op_.state = Operation::State::kFailed;
  end(tl::unexpected<Error>(error_of(fault)), false);
  return Next::kLeave;
}

Run::Next Run::commit_step(const std::shared_ptr<StepContext>& ctx, const Step& step, std::int64_t started_us) {
  const bool last = static_cast<std::size_t>(op_.next_step) + 1 == verb_.steps.size();
  const auto written = journal_.store_.write(last ? Durability::kFsync : Durability::kOrdered,
                                             [&](Tx& tx) { return write_end(tx, *ctx, step, started_us, last); });
  if (!written) {
    if (of_the_store(written.error().code)) return park(written.error());
    Error error = written.error();
    error.step = fmt::format("{}/{}", verb_.method, step.name);
    return step_failed(step, std::move(error), started_us);
  }
  ++op_.next_step;
  op_.scratch = ctx->scratch();
  failures_ = waits_ = 0;
  said_parked_ = false;
  if (last) op_.state = Operation::State::kDone;
  const auto hit = fault::hit(point(step, "recorded"));
  if (last) {
    end(verb_.result ? verb_.result(ctx->instance()) : Json(nullptr), true);
    return Next::kLeave;
  }
  if (!hit) return begin_undo(hit.error(), step.name, started_us);
  return Next::kAgain;
}

Result<void> Run::write_end(Tx& tx, const StepContext& ctx, const Step& step, std::int64_t started_us, bool last) {
  Operation op = op_;
  ++op.next_step;
  op.scratch = const_cast<StepContext&>(ctx).scratch();
  if (last) op.state = Operation::State::kDone;
  CA_TRY_VOID(tx.update_operation(op));
  CA_TRY_VOID(tx.add_event(op.instance_uuid, op.request_id,
                           {fmt::format("{}/{}", verb_.method, step.name), started_us, tx.now_us(), "Success", ""}));
  if (last) CA_TRY_VOID(tx.finish_action(op.instance_uuid, op.request_id, ""));
  if (ctx.changes().empty() && !last) return {};
  CA_TRY(Instance record, tx.get<Instance>(op.instance_uuid));
  const TaskState before = record.task_state;
  for (const RecordChange& change : ctx.changes()) CA_TRY_VOID(change(tx, record));
  if (last) CA_TRY_VOID(verb_.on_success(tx, record));
  if (record.vm_state == VmState::kDeleted) return {};  // on_success removed the record
  keep_delete_mark(verb_, before, record);
  record.updated_us = tx.now_us();
  return tx.put(record);
}

void Run::end(const Result<Json>& outcome, bool success) {
  if (!success && op_.state != Operation::State::kFailed) {
    [[maybe_unused]] const auto written = journal_.store_.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
      Operation op = op_;
      op.state = Operation::State::kFailed;
      CA_TRY_VOID(tx.finish_action(op.instance_uuid, op.request_id, "Error"));
      return tx.update_operation(op);
    });
  }
  spdlog::info("{} of {} {}", verb_.action, op_.instance_uuid, success ? "done" : "ended without success");
  if (!op_.msg_id.empty() && journal_.reply_) journal_.reply_(op_, outcome);
  {
    const std::lock_guard lock(journal_.mutex_);
    ++(success ? journal_.stats_.done : journal_.stats_.failed);
  }
  journal_.finished(shared_from_this());
}

}  // namespace ca
