#pragma once
// A verb is a list of named steps. Each step has `run`, safe to run twice, and where it leaves something behind, `undo`, safe to
// run even when `run` never began. Steps change nothing of the record themselves: what they want changed they hand over with
// on_commit(), and it is committed in the same transaction as the end of the step.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/journal/message.h"
#include "agent/store/operation.h"
#include "agent/store/tx.h"

namespace ca {

using RecordChange = std::function<Result<void>(Tx&, Instance&)>;

// What one attempt of one step sees. Its own copy of everything: an attempt that hangs and is abandoned can do no harm later.
class StepContext {
 public:
  StepContext(Operation op, Instance instance, std::shared_ptr<const std::atomic<bool>> cancelled)
      : op_(std::move(op)), instance_(std::move(instance)), scratch_(op_.scratch), cancelled_(std::move(cancelled)) {}

  [[nodiscard]] const Operation& op() const { return op_; }
  [[nodiscard]] const Instance& instance() const { return instance_; }
  // Handed on to later steps, and to undo.
  [[nodiscard]] Json& scratch() { return scratch_; }
  void on_commit(RecordChange change) { changes_.push_back(std::move(change)); }
  [[nodiscard]] const std::vector<RecordChange>& changes() const { return changes_; }
  // A later order (delete) wants this operation to end; long waits should look at it.
  [[nodiscard]] bool cancelled() const { return cancelled_ && *cancelled_; }
  // This attempt took too long and another one goes on without it: nothing of it counts any more, and it may change nothing more.
  // A step that makes several changes looks before each.
  [[nodiscard]] bool abandoned() const { return abandoned_; }
  void abandon() { abandoned_ = true; }

 private:
  Operation op_;
  Instance instance_;
  Json scratch_;
  std::vector<RecordChange> changes_;
  std::shared_ptr<const std::atomic<bool>> cancelled_;
  std::atomic<bool> abandoned_ = false;
};

using StepFunction = std::function<Result<void>(StepContext&)>;

struct Step {
  std::string name;
  std::chrono::milliseconds limit{60'000};  // of one attempt; a worker past it counts as hung
  StepFunction run;
  StepFunction undo;                  // may be empty
  TaskState task = TaskState::kNone;  // task_state while it runs; kNone: unchanged
};

struct Verb {
  std::string method;  // of the message, and of the journal
  std::string action;  // as `server event list` names it
  Order order = Order::kBuild;
  bool must_finish = false;     // no deadline; a step's failure is tried again rather than undone (delete)
  bool cancels_others = false;  // makes running operations of the instance end first (delete)
  std::size_t at_once = 0;      // of all operations of this verb, so many run at the same time; 0: no limit
  std::vector<Step> steps;

  // Checks the order against the record and says what the record looks like once it is accepted.
  std::function<Result<Instance>(const Message&, Tx&)> accept;
  // The message is refused: takes back what its sender reserved for it. May be empty.
  std::function<Result<void>(const Message&, Tx&)> on_refused;
  RecordChange on_success;
  // The operation was undone (or gave up); op.error says why. Leaves no task_state behind.
  std::function<Result<void>(Tx&, Instance&, const Fault&)> on_failure;
  std::function<Json(const Instance&)> result;  // of a call; may be empty
};

}  // namespace ca
