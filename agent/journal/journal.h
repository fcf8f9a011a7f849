#pragma once
// Takes orders over, runs their steps, records each, and finishes or undoes them after a crash.
//
// Operations on one instance run one after the other (a strand); different instances run side by side on the worker pool. A step
// that hits kUnavailable is not a failure: the operation is parked and tried again when the service is back or after a back-off,
// until the operation's deadline.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/journal/verb.h"
#include "agent/runtime/timer_queue.h"
#include "agent/runtime/worker_pool.h"
#include "agent/store/store.h"

namespace ca {

struct Accepted {
  Uuid instance_uuid;
  bool duplicate = false;        // seen before; dropped
  std::optional<Error> refusal;  // wrong state, unknown instance ...
};

struct JournalStats {
  std::size_t open = 0, parked = 0;
  std::uint64_t done = 0, failed = 0, undone_steps = 0, retried_steps = 0;
};

class Run;

class Journal {
 public:
  Journal(Store& store, WorkerPool& workers, TimerQueue& timers, const Clock& clock, std::chrono::seconds default_deadline);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  void add(Verb verb);
  void on_reply(std::function<void(const Operation&, const Result<Json>&)> reply);
  // An operation was told to end early (a delete came): wakes what waits in it.
  void on_cancel(std::function<void(const Uuid&)> callback);
  // After an operation ended and its strand is free; for the reconciler.
  void on_idle(std::function<void(const Uuid&)> callback);

  // One transaction: marks the id as seen, checks the order, writes the operation, acknowledges. An error: nothing was taken over.
  Result<Accepted> accept(const Message& message, const std::function<Result<void>(Tx&)>& acknowledge);
  // Puts every open operation back on its strand; call once, after all verbs were added.
  Result<std::size_t> recover();
  // What was parked is tried again now.
  void wake_parked();
  [[nodiscard]] bool has_open(const Uuid& instance) const;
  [[nodiscard]] JournalStats stats() const;
  // No step begins after this; running ones end and are recorded. False when some did not end within `limit`.
  bool drain(std::chrono::milliseconds limit);
  // Every place at which a test can make the agent die, derived from the verbs.
  [[nodiscard]] std::vector<std::string> fault_points() const;

 private:
  friend class Run;
  struct Strand;
  struct Gate;

  void enqueue(std::shared_ptr<Run> run);
  // On a worker as soon as its verb's gate lets it through; a run that waits there holds no worker.
  void submit(std::shared_ptr<Run> run);
  bool pass_gate(const std::shared_ptr<Run>& run);
  std::shared_ptr<Run> leave_gate(Run& run);
  void work_on(std::shared_ptr<Run> run);
  void left();
  void finished(const std::shared_ptr<Run>& run);
  void park(const std::shared_ptr<Run>& run, std::chrono::milliseconds delay);
  void unpark(const std::shared_ptr<Run>& run);
  Result<std::optional<Operation>> take_over(const Verb& verb, const Message& message, Tx& tx, Accepted& accepted);
  Result<void> settle_refused(const Verb& verb, const Message& message, const Error& refusal, Tx& tx);
  Result<void> give_up_foreign(Operation op);

  Store& store_;
  WorkerPool& workers_;
  TimerQueue& timers_;
  const Clock& clock_;
  const std::chrono::seconds default_deadline_;
  std::map<std::string, Verb> verbs_;
  std::function<void(const Operation&, const Result<Json>&)> reply_;
  std::function<void(const Uuid&)> idle_;
  std::function<void(const Uuid&)> cancel_;

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::map<Uuid, std::unique_ptr<Strand>> strands_;
  std::map<std::string, std::unique_ptr<Gate>> gates_;  // of verbs that have a limit
  std::size_t running_ = 0;                             // runs that a worker drives now
  bool draining_ = false;
  JournalStats stats_;
};

}  // namespace ca
