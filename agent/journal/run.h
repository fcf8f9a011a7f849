#pragma once
// One operation on its way through its steps. Used by Journal only.

#include <atomic>
#include <memory>

#include "agent/journal/journal.h"

namespace ca {

class Run : public std::enable_shared_from_this<Run> {
 public:
  Run(Journal& journal, const Verb& verb, Operation op) : journal_(journal), verb_(verb), op_(std::move(op)) {}

  [[nodiscard]] const Operation& op() const { return op_; }
  [[nodiscard]] const Verb& verb() const { return verb_; }
  void cancel() { *cancelled_ = true; }
  [[nodiscard]] bool cancelled() const { return *cancelled_; }

  // Drives the operation as far as it goes: to its end, to a park, or to the drain. False: a step hung, and the worker that went on
  // in its place counts as the one that drives.
  bool drive(TaskLease& lease);

  // Guarded by the journal's mutex.
  TimerQueue::Id park_timer = 0;
  bool waits_at_gate = false;
  bool inside_gate = false;

 private:
  enum class Next { kAgain, kLeave, kAbandoned };

  Next forward(TaskLease& lease);
  Next backward(TaskLease& lease);
  // Runs `function` bounded. nullopt: the attempt was abandoned, this worker must leave.
  std::optional<Result<void>> attempt(TaskLease& lease, const Step& step, const StepFunction& function,
                                      const std::shared_ptr<StepContext>& context, bool undoing);
  Result<void> run_between_faults(const Step& step, const StepFunction& function, StepContext& context, bool undoing) const;
  void expired(const Step& step, bool undoing);
  Next step_failed(const Step& step, Error error, std::int64_t started_us);
  Next undo_failed(const Step& step, Error error, std::int64_t started_us);
  Next begin_undo(Error error, const std::string& step_name, std::int64_t started_us);
  Next park(const Error& error);
  Next give_up();
  [[nodiscard]] Fault fault_of_op() const;
  Next commit_step(const std::shared_ptr<StepContext>& context, const Step& step, std::int64_t started_us);
  Result<void> write_end(Tx& tx, const StepContext& context, const Step& step, std::int64_t started_us, bool last);
  void end(const Result<Json>& outcome, bool success);
  void set_task_state(const Step& step);
  [[nodiscard]] std::shared_ptr<StepContext> context() const;
  [[nodiscard]] std::string point(const Step& step, std::string_view where) const;

  Journal& journal_;
  const Verb& verb_;
  Operation op_;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  int failures_ = 0;  // of the step at hand
  int waits_ = 0;     // of the step at hand
  bool said_parked_ = false;
};

[[nodiscard]] Fault make_fault(const Error& error, std::int64_t now_us);
[[nodiscard]] Error error_of(const Fault& fault);

}  // namespace ca
