#include "agent/journal/run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/runtime/fault_point.h"

namespace ca {
namespace {

constexpr int kTriesOfMustFinish = 6;
constexpr int kTriesOfUndo = 4;
constexpr std::chrono::milliseconds kCommitLimit{120'000};

bool worth_waiting(Code code) { return code == Code::kUnavailable; }

std::chrono::milliseconds back_off(int failures) {
  return std::chrono::milliseconds(std::min<std::int64_t>(15'000, std::int64_t{250} << std::min(failures, 8)));
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

std::string Run::point(const Step& step, std::string_view where) const {
  return fmt::format("{}/{}:{}", verb_.method, step.name, where);
}

std::shared_ptr<StepContext> Run::context() const {
  const auto record = journal_.store_.get<Instance>(op_.instance_uuid);
  if (!record) return nullptr;
  return std::make_shared<StepContext>(op_, *record, cancelled_);
}

void Run::drive(TaskLease& lease) {
  const auto self = shared_from_this();
  while (true) {
    {
      const std::lock_guard lock(journal_.mutex_);
      if (journal_.draining_) return;
    }
    const Next next = op_.state == Operation::State::kOpen ? forward(lease) : backward(lease);
    if (next == Next::kLeave) return;
  }
}

Run::Next Run::forward(TaskLease& lease) {
  const std::int64_t now = journal_.clock_.wall_us();
  const Step& step = verb_.steps[static_cast<std::size_t>(op_.next_step)];
  if (*cancelled_ && !verb_.must_finish) {
    return begin_undo(fail(Code::kCancelled, fmt::format("{} was ended by a delete of the instance", verb_.action)).value(), step.name, now);
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
  auto outcome = attempt(lease, step, step.run, *ctx, false);
  if (!outcome) return Next::kLeave;
  if (!*outcome) return step_failed(step, std::move(*outcome).error(), now);
  return commit_step(ctx, step, now);
}

void Run::set_task_state(const Step& step) {
  if (step.task == TaskState::kNone) return;
  [[maybe_unused]] const auto written = journal_.store_.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    CA_TRY(Instance record, tx.get<Instance>(op_.instance_uuid));
    if (record.task_state == step.task) return {};
    record.task_state = step.task;
    record.updated_us = tx.now_us();
    return tx.put(record);
  });
}

std::optional<Result<void>> Run::attempt(TaskLease& lease, const Step& step, const StepFunction& function, StepContext& ctx,
                                         bool undoing) {
  const auto self = shared_from_this();
  if (!lease.rearm(step.limit, [self, name = step.name, undoing, limit = step.limit] { self->expired(name, undoing, limit); })) {
    return std::nullopt;
  }
  Result<void> outcome = fault::hit(point(step, undoing ? "undo_before" : "before"));
  if (outcome) outcome = function(ctx);
  if (outcome) outcome = fault::hit(point(step, undoing ? "undone" : "ran"));
  if (!lease.rearm(kCommitLimit, [] {})) return std::nullopt;
  if (!outcome && outcome.error().step.empty()) {
    Error named = std::move(outcome).error();
    named.step = fmt::format("{}/{}", verb_.method, step.name);
    outcome = tl::unexpected<Error>(std::move(named));
  }
  return outcome;
}

// On the timer thread: the attempt hangs. Its worker is lost for now; another one goes on.
void Run::expired(const std::string& step_name, bool undoing, std::chrono::milliseconds limit) {
  const auto self = shared_from_this();
  journal_.workers_.submit([self, step_name, undoing, limit](TaskLease& lease) {
    Error error = fail(Code::kTimeout, fmt::format("step {} did not end within {} ms", step_name, limit.count())).value();
    error.step = fmt::format("{}/{}", self->verb_.method, step_name);
    const Step& step = self->verb_.steps[static_cast<std::size_t>(self->op_.next_step)];
    const std::int64_t now = self->journal_.clock_.wall_us();
    const Next next = undoing ? self->undo_failed(step, std::move(error), now) : self->step_failed(step, std::move(error), now);
    if (next == Next::kAgain) self->drive(lease);
    if (next == Next::kLeave) return;
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
  const auto delay = back_off(failures_);
  if (worth_waiting(error.code)) failures_ = std::min(failures_ + 1, kTriesOfUndo - 1);
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
  failures_ = 0;
  return Next::kAgain;
}

Run::Next Run::backward(TaskLease& lease) {
  while (op_.next_step >= 0 && !verb_.steps[static_cast<std::size_t>(op_.next_step)].undo) --op_.next_step;
  if (op_.next_step < 0) return give_up();
  const Step& step = verb_.steps[static_cast<std::size_t>(op_.next_step)];
  const std::int64_t now = journal_.clock_.wall_us();
  const auto ctx = context();
  if (!ctx) {
    end(tl::unexpected<Error>(error_of(*op_.error)), false);
    return Next::kLeave;
  }
  auto outcome = attempt(lease, step, step.undo, *ctx, true);
  if (!outcome) return Next::kLeave;
  if (!*outcome) return undo_failed(step, std::move(*outcome).error(), now);
  const auto written = journal_.store_.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    Operation op = op_;
    --op.next_step;
    op.scratch = ctx->scratch();
    CA_TRY_VOID(tx.update_operation(op));
    CA_TRY(Instance record, tx.get<Instance>(op.instance_uuid));
    for (const RecordChange& change : ctx->changes()) CA_TRY_VOID(change(tx, record));
    if (!ctx->changes().empty()) CA_TRY_VOID(tx.put(record));
    return {};
  });
  if (!written) return park(written.error());
  --op_.next_step;
  op_.scratch = ctx->scratch();
  failures_ = 0;
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
  failures_ = 0;
  return Next::kAgain;
}

Run::Next Run::give_up() {
  const Fault fault = *op_.error;
  const auto written = journal_.store_.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    Operation op = op_;
    op.state = Operation::State::kFailed;
    CA_TRY_VOID(tx.update_operation(op));
    CA_TRY_VOID(tx.finish_action(op.instance_uuid, op.request_id, "Error"));
    CA_TRY(Instance record, tx.get<Instance>(op.instance_uuid));
    CA_TRY_VOID(verb_.on_failure(tx, record, fault));
    record.updated_us = tx.now_us();
    return tx.put(record);
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
    if (worth_waiting(written.error().code)) return park(written.error());
    Error error = written.error();
    error.step = fmt::format("{}/{}", verb_.method, step.name);
    return step_failed(step, std::move(error), started_us);
  }
  ++op_.next_step;
  op_.scratch = ctx->scratch();
  failures_ = 0;
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
  for (const RecordChange& change : ctx.changes()) CA_TRY_VOID(change(tx, record));
  if (last) CA_TRY_VOID(verb_.on_success(tx, record));
  if (record.vm_state == VmState::kDeleted) return {};  // on_success removed the record
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
