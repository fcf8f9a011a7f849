#pragma once
// A journal over a store of the test's own, with verbs whose steps a test scripts: what each does, and a record of what was called.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/journal/journal.h"
#include "tests/unit/scratch_dir.h"

namespace ca::testing {

class ManualClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t wall_us() const override { return now_us; }
  [[nodiscard]] std::int64_t mono_us() const override { return now_us; }
  std::atomic<std::int64_t> now_us = 1'700'000'000'000'000;
};

// A door that steps wait at until the test opens it.
class Door {
 public:
  ~Door() { open(); }
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    --waiting_;
    ++through_;
    changed_.notify_all();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  // False after ten seconds.
  [[nodiscard]] bool wait_for_arrivals(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return waiting_ + through_ >= count; });
  }
  [[nodiscard]] int waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int waiting_ = 0;
  int through_ = 0;
};

// Waits for something that other threads bring about; false after ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline Uuid uuid_of(int n) {
  std::string uuid = "00000000-0000-4000-8000-000000000000";
  uuid.replace(uuid.size() - std::to_string(n).size(), std::string::npos, std::to_string(n));
  return uuid;
}

class JournalRig {
 public:
  JournalRig() { open(); }
  ~JournalRig() { close(); }
  JournalRig(const JournalRig&) = delete;
  JournalRig& operator=(const JournalRig&) = delete;

  // --- what steps do; by "run a", "undo a". Without a script a step succeeds.
  void script(const std::string& call, StepFunction function) {
    const std::lock_guard lock(mutex_);
    scripts_[call] = std::move(function);
  }
  [[nodiscard]] std::vector<std::string> calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  void forget_calls() {
    const std::lock_guard lock(mutex_);
    calls_.clear();
  }
  [[nodiscard]] int count(const std::string& call) const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(std::ranges::count(calls_, call));
  }

  // A step "a", with an undo unless it is named "a!".
  Step step(std::string name) {
    const bool undoable = !name.ends_with('!');
    if (!undoable) name.pop_back();
    Step step;
    step.name = name;
    step.limit = std::chrono::seconds(30);
    step.run = [this, name](StepContext& ctx) { return perform("run " + name, ctx); };
    if (undoable) step.undo = [this, name](StepContext& ctx) { return perform("undo " + name, ctx); };
    return step;
  }

  Verb verb(const std::string& method, Order order, const std::vector<std::string>& steps) {
    Verb verb;
    verb.method = method;
    verb.action = method;
    verb.order = order;
    for (const std::string& name : steps) verb.steps.push_back(step(name));
    verb.accept = [order](const Message& message, Tx& tx) { return accept(order, message, tx); };
    verb.on_success = [](Tx&, Instance& record) -> Result<void> {
      record.vm_state = VmState::kActive;
      record.task_state = TaskState::kNone;
      return {};
    };
    verb.on_failure = [](Tx&, Instance& record, const Fault& fault) -> Result<void> {
      record.vm_state = VmState::kError;
      record.task_state = TaskState::kNone;
      record.fault = fault;
      return {};
    };
    verb.result = [](const Instance& record) { return Json{{"uuid", record.uuid}}; };
    return verb;
  }
  Verb build(const std::vector<std::string>& steps) { return verb("build", Order::kBuild, steps); }
  // Must finish, cancels others, removes the record.
  Verb terminate(const std::vector<std::string>& steps) {
    Verb verb = this->verb("terminate", Order::kTerminate, steps);
    verb.must_finish = verb.cancels_others = true;
    verb.on_success = [](Tx& tx, Instance& record) -> Result<void> {
      CA_TRY_VOID(tx.erase<Instance>(record.uuid));
      record.vm_state = VmState::kDeleted;
      return {};
    };
    return verb;
  }

  // --- messages
  Message message(const std::string& method, const Uuid& uuid) {
    Message message;
    message.method = method;
    message.args = {{"instance", {{"uuid", uuid}}}};
    message.unique_id = "message-" + std::to_string(++messages_);
    message.request_id = "req-" + std::to_string(messages_);
    return message;
  }
  Accepted order(const Message& message) {
    auto accepted = journal->accept(message, [](Tx&) -> Result<void> { return {}; });
    EXPECT_TRUE(accepted) << accepted.error().chain();
    return accepted ? *accepted : Accepted{};
  }
  Accepted order(const std::string& method, const Uuid& uuid) { return order(message(method, uuid)); }

  // --- the store
  void put(const Instance& record) {
    const auto written = store->write(Durability::kOrdered, [&](Tx& tx) { return tx.put(record); });
    EXPECT_TRUE(written) << written.error().chain();
  }
  Instance put_instance(const Uuid& uuid, VmState vm, TaskState task = TaskState::kNone) {
    Instance record;
    record.uuid = uuid;
    record.number = 1;
    record.name = "server";
    record.hostname = "server";
    record.vm_state = vm;
    record.task_state = task;
    put(record);
    return record;
  }
  [[nodiscard]] Instance record(const Uuid& uuid) const {
    const auto found = store->get<Instance>(uuid);
    EXPECT_TRUE(found) << "no record of " << uuid;
    return found ? *found : Instance{};
  }
  // An operation as an agent that died left it.
  Operation leave_operation(const std::string& method, const Uuid& uuid, Operation::State state, std::int64_t next_step) {
    Operation op;
    op.unique_id = "left-" + std::to_string(++messages_);
    op.method = method;
    op.instance_uuid = uuid;
    op.request_id = "req-left-" + std::to_string(messages_);
    op.args = {{"instance", {{"uuid", uuid}}}};
    op.state = state;
    op.next_step = next_step;
    op.deadline_us = clock.wall_us() + 60'000'000;
    if (state == Operation::State::kUndoing) op.error = Fault{Code::kExternal, method + "/x", "it broke", {"it broke"}, "mend it", 0};
    const auto written = store->write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
      CA_TRY(op.id, tx.insert_operation(op));
      CA_TRY_VOID(tx.update_operation(op));
      return tx.start_action({op.request_id, uuid, method, "", "", tx.now_us(), tx.now_us(), "", {}});
    });
    EXPECT_TRUE(written) << written.error().chain();
    return op;
  }
  // "build/a Success", in order, of the newest action of that kind.
  [[nodiscard]] std::vector<std::string> events(const Uuid& uuid, const std::string& kind) {
    std::vector<std::string> texts;
    const auto actions = store->actions(uuid);
    EXPECT_TRUE(actions);
    for (const InstanceAction& action : *actions) {
      if (action.action != kind) continue;
      const auto whole = store->action(uuid, action.request_id);
      EXPECT_TRUE(whole);
      for (const ActionEvent& event : whole->events) texts.push_back(event.event + " " + event.result);
      break;
    }
    return texts;
  }
  [[nodiscard]] bool idle() const { return journal->stats().open == 0; }
  [[nodiscard]] std::size_t open_operations() {
    const auto open = store->open_operations();
    EXPECT_TRUE(open);
    return open ? open->size() : 0;
  }

  // A new agent over the same store; verbs have to be added again.
  void restart() {
    close();
    open();
  }

  ScratchDir dir;
  ManualClock clock;
  std::unique_ptr<TimerQueue> timers;
  std::unique_ptr<Store> store;
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<Journal> journal;

 private:
  static Result<Instance> accept(Order order, const Message& message, Tx& tx) {
    const Uuid uuid = message.args.at("instance").at("uuid");
    auto existing = tx.get<Instance>(uuid);
    if (order == Order::kBuild) {
      if (message.args.contains("unfit")) return fail(Code::kInvalid, "the image does not fit");
      CA_TRY(const bool ordered_before, tx.has_operation(message.method, uuid));
      if (ordered_before) return fail(Code::kConflict, "exists already");
      Instance record = existing ? *existing : Instance{};
      record.uuid = uuid;
      record.number = 1;
      record.name = record.hostname = "server";
      return record;
    }
    if (!existing) return fail(Code::kNotFound, "there is no such instance");
    CA_TRY_VOID(check_order(order, existing->vm_state, existing->task_state, uuid));
    if (order == Order::kTerminate) existing->task_state = TaskState::kDeleting;
    return existing;
  }

  Result<void> perform(const std::string& call, StepContext& ctx) {
    StepFunction function;
    {
      const std::lock_guard lock(mutex_);
      calls_.push_back(call);
      if (const auto found = scripts_.find(call); found != scripts_.end()) function = found->second;
    }
    return function ? function(ctx) : Result<void>{};
  }

  void open() {
    auto opened = Store::open(dir / "agent.db", clock);
    if (!opened) throw std::runtime_error(opened.error().chain());
    store = std::move(*opened);
    timers = std::make_unique<TimerQueue>();
    workers = std::make_unique<WorkerPool>(*timers, 8, 4);
    journal = std::make_unique<Journal>(*store, *workers, *timers, clock, std::chrono::seconds(60));
  }
  void close() {
    EXPECT_TRUE(journal->drain(std::chrono::seconds(10)));
    timers->stop();
    EXPECT_TRUE(workers->drain(std::chrono::seconds(10)));
    journal.reset();
    workers.reset();
    timers.reset();
    store.reset();
  }

  mutable std::mutex mutex_;
  std::map<std::string, StepFunction> scripts_;
  std::vector<std::string> calls_;
  int messages_ = 0;
};

}  // namespace ca::testing
