// What the journal promises, with steps that a test scripts, over a real store.
#include <gmock/gmock.h>

#include "tests/unit/journal_rig.h"

namespace ca {
namespace {

using ::testing::Contains;
using testing::Door;
using ::testing::ElementsAre;
using testing::eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::JournalRig;
using testing::uuid_of;

using State = Operation::State;

const Uuid kOne = uuid_of(1);

class JournalTest : public ::testing::Test {
 protected:
  [[nodiscard]] bool wait_idle() {
    return eventually([this] { return rig.idle(); });
  }
  static StepFunction fails_with(Code code) {
    return [code](StepContext&) -> Result<void> { return fail(code, "it broke"); };
  }
  static StepFunction waits_at(Door& door) {
    return [&door](StepContext&) -> Result<void> {
      door.wait();
      return {};
    };
  }

  JournalRig rig;
};

TEST_F(JournalTest, StepsRunInOrderAndEachIsRecordedWithWhatItChanged) {
  rig.journal->add(rig.build({"a", "b", "c"}));
  rig.script("run a", [](StepContext& ctx) -> Result<void> {
    ctx.scratch()["from_a"] = 7;
    ctx.on_commit([](Tx&, Instance& record) -> Result<void> {
      record.key_name = "changed";
      return {};
    });
    return {};
  });
  rig.script("run b", [](StepContext& ctx) -> Result<void> {
    EXPECT_EQ(ctx.scratch().value("from_a", 0), 7);
    EXPECT_EQ(ctx.instance().key_name, "changed");
    return {};
  });
  EXPECT_FALSE(rig.order("build", kOne).refusal);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run a", "run b", "run c"));
  EXPECT_THAT(rig.events(kOne, "build"), ElementsAre("build/a Success", "build/b Success", "build/c Success"));
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kActive);
  EXPECT_EQ(rig.record(kOne).key_name, "changed");
  EXPECT_EQ(rig.open_operations(), 0u);
}

TEST_F(JournalTest, OperationIsResumedAtItsFirstUnfinishedStep) {
  rig.put_instance(kOne, VmState::kBuilding);
  rig.leave_operation("build", kOne, State::kOpen, 1);
  rig.restart();
  rig.journal->add(rig.build({"a", "b", "c"}));
  ASSERT_EQ(rig.journal->recover().value_or(0), 1u);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run b", "run c"));
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kActive);
}

TEST_F(JournalTest, FailedStepAndThoseBeforeItAreUndoneInReverse) {
  rig.journal->add(rig.build({"a", "b!", "c", "d"}));
  rig.script("run c", fails_with(Code::kExternal));
  rig.order("build", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run a", "run b", "run c", "undo c", "undo a"));
  EXPECT_THAT(rig.events(kOne, "build"), ElementsAre("build/a Success", "build/b Success", "build/c Error"));
  const Instance record = rig.record(kOne);
  EXPECT_EQ(record.vm_state, VmState::kError);
  ASSERT_TRUE(record.fault);
  EXPECT_EQ(record.fault->step, "build/c");
  EXPECT_EQ(record.fault->message, "it broke");
  EXPECT_EQ(rig.journal->stats().undone_steps, 2u);
}

TEST_F(JournalTest, UndoingIsResumedWhereItWas) {
  rig.put_instance(kOne, VmState::kBuilding);
  rig.leave_operation("build", kOne, State::kUndoing, 1);
  rig.restart();
  rig.journal->add(rig.build({"a", "b", "c"}));
  ASSERT_EQ(rig.journal->recover().value_or(0), 1u);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("undo b", "undo a"));
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kError);
  EXPECT_EQ(rig.record(kOne).fault->message, "it broke");
}

TEST_F(JournalTest, UndoneToTheBeginningOnlyTheEndIsLeft) {
  rig.put_instance(kOne, VmState::kBuilding);
  rig.leave_operation("build", kOne, State::kUndoing, -1);
  rig.restart();
  rig.journal->add(rig.build({"a"}));
  ASSERT_EQ(rig.journal->recover().value_or(0), 1u);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), IsEmpty());
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kError);
}

TEST_F(JournalTest, UndoThatKeepsFailingIsSaidAndTheRestIsStillUndone) {
  rig.journal->add(rig.build({"a", "b"}));
  rig.script("run b", fails_with(Code::kExternal));
  rig.script("undo b", fails_with(Code::kExternal));
  rig.order("build", kOne);
  ASSERT_TRUE(eventually([&] {
    rig.journal->wake_parked();
    return rig.idle();
  }));
  EXPECT_GT(rig.count("undo b"), 1);
  EXPECT_EQ(rig.count("undo a"), 1);
  EXPECT_THAT(rig.events(kOne, "build"), ElementsAre("build/a Success", "build/b Error", "build/b (undo) Error"));
}

// --- time

TEST_F(JournalTest, HungStepIsGivenUpAndItsLateReturnHasNoEffect) {
  Verb build = rig.build({"a", "b"});
  build.steps[1].limit = std::chrono::milliseconds(30);
  rig.journal->add(std::move(build));
  Door door;
  std::atomic<bool> returned = false, knows = false;
  rig.script("run b", [&](StepContext& ctx) -> Result<void> {
    ctx.on_commit([](Tx&, Instance& record) -> Result<void> {
      record.key_name = "too late";
      return {};
    });
    door.wait();
    knows = ctx.abandoned();
    returned = true;
    return {};
  });
  rig.order("build", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_FALSE(returned);
  EXPECT_EQ(rig.record(kOne).fault->code, Code::kTimeout);
  EXPECT_THAT(rig.record(kOne).fault->message, HasSubstr("step b did not end within 30 ms"));
  EXPECT_EQ(rig.workers->stats().hung, 1u);
  door.open();
  ASSERT_TRUE(eventually([&] { return rig.workers->stats().hung == 0; }));
  EXPECT_TRUE(returned);
  EXPECT_TRUE(knows);
  EXPECT_EQ(rig.record(kOne).key_name, "");
  EXPECT_THAT(rig.calls(), ElementsAre("run a", "run b", "undo b", "undo a"));
  EXPECT_THAT(rig.events(kOne, "build"), ElementsAre("build/a Success", "build/b Error"));
}

TEST_F(JournalTest, HungStepOfADeleteIsTriedAgain) {
  rig.put_instance(kOne, VmState::kActive);
  Verb terminate = rig.terminate({"a!"});
  terminate.steps[0].limit = std::chrono::milliseconds(30);
  rig.journal->add(std::move(terminate));
  Door door;
  rig.script("run a", [&](StepContext&) -> Result<void> {
    if (rig.count("run a") == 1) door.wait();
    return {};
  });
  rig.order("terminate", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.count("run a"), 2);
  EXPECT_FALSE(rig.store->get<Instance>(kOne));
}

TEST_F(JournalTest, DrainWaitsForTheWorkerThatWentOnAfterAHungOne) {
  Verb build = rig.build({"a", "b!"});
  build.steps[1].limit = std::chrono::milliseconds(30);
  rig.journal->add(std::move(build));
  Door hung, undoing;
  rig.script("run b", waits_at(hung));
  rig.script("undo a", waits_at(undoing));
  rig.order("build", kOne);
  ASSERT_TRUE(undoing.wait_for_arrivals(1));
  hung.open();
  ASSERT_TRUE(eventually([&] { return rig.workers->stats().hung == 0; }));
  EXPECT_FALSE(rig.journal->drain(std::chrono::milliseconds(0)));
  undoing.open();
  EXPECT_TRUE(rig.journal->drain(std::chrono::seconds(10)));
}

TEST_F(JournalTest, DrainDoesNotWaitForAWorkerThatHangs) {
  Verb build = rig.build({"a!"});
  build.steps[0].limit = std::chrono::milliseconds(30);
  rig.journal->add(std::move(build));
  Door door;
  rig.script("run a", waits_at(door));
  rig.order("build", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_TRUE(rig.journal->drain(std::chrono::seconds(10)));
  // But the process must not tear down what the one that hangs may still use.
  EXPECT_FALSE(rig.workers->drain(std::chrono::milliseconds(0)));
  door.open();
  EXPECT_TRUE(rig.workers->drain(std::chrono::seconds(10)));
}

TEST_F(JournalTest, UnavailableParksAndWakingTriesAgainAtOnce) {
  rig.journal->add(rig.build({"a"}));
  std::atomic<bool> there = false;
  rig.script("run a", [&](StepContext&) -> Result<void> {
    if (there) return {};
    return fail(Code::kUnavailable, "libvirt does not answer");
  });
  rig.order("build", kOne);
  // After seven tries the pause is 15 s: longer than this test waits for anything.
  for (int tries = 1; tries <= 7; ++tries) {
    ASSERT_TRUE(eventually([&] { return rig.count("run a") >= tries && rig.journal->stats().parked == 1; })) << tries;
    if (tries == 7) there = true;
    rig.journal->wake_parked();
  }
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kActive);
  EXPECT_THAT(rig.events(kOne, "build"), ElementsAre("build/a Success"));
}

TEST_F(JournalTest, ParkedOperationIsResumedByANewAgent) {
  rig.journal->add(rig.build({"a"}));
  rig.script("run a", fails_with(Code::kUnavailable));
  rig.order("build", kOne);
  ASSERT_TRUE(eventually([&] { return rig.journal->stats().parked == 1; }));
  rig.restart();
  rig.script("run a", nullptr);
  rig.journal->add(rig.build({"a"}));
  ASSERT_EQ(rig.journal->recover().value_or(0), 1u);
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kActive);
}

TEST_F(JournalTest, ParkedOperationIsUndoneOnceItsDeadlinePassed) {
  rig.journal->add(rig.build({"a", "b"}));
  rig.script("run b", fails_with(Code::kUnavailable));
  rig.order("build", kOne);
  ASSERT_TRUE(eventually([&] { return rig.journal->stats().parked == 1; }));
  rig.clock.now_us += 61'000'000;
  rig.journal->wake_parked();
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.count("undo a"), 1);
  EXPECT_EQ(rig.record(kOne).fault->code, Code::kTimeout);
}

TEST_F(JournalTest, DeadlineThatPassedWhileTheAgentWasDownUndoes) {
  rig.put_instance(kOne, VmState::kBuilding);
  rig.leave_operation("build", kOne, State::kOpen, 1);
  rig.restart();
  rig.clock.now_us += 61'000'000;
  rig.journal->add(rig.build({"a", "b"}));
  ASSERT_TRUE(rig.journal->recover());
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("undo b", "undo a"));
  EXPECT_EQ(rig.record(kOne).fault->code, Code::kTimeout);
}

TEST_F(JournalTest, DeleteHasNoDeadline) {
  rig.put_instance(kOne, VmState::kActive);
  rig.leave_operation("terminate", kOne, State::kOpen, 0);
  rig.restart();
  rig.clock.now_us += 61'000'000;
  rig.journal->add(rig.terminate({"a!"}));
  ASSERT_TRUE(rig.journal->recover());
  ASSERT_TRUE(wait_idle());
  EXPECT_FALSE(rig.store->get<Instance>(kOne));
}

TEST_F(JournalTest, DrainLetsTheStepAtHandEndAndBeginsNoOther) {
  rig.journal->add(rig.build({"a", "b"}));
  Door door;
  rig.script("run a", waits_at(door));
  rig.order("build", kOne);
  ASSERT_TRUE(door.wait_for_arrivals(1));
  EXPECT_FALSE(rig.journal->drain(std::chrono::milliseconds(0)));
  door.open();
  EXPECT_TRUE(rig.journal->drain(std::chrono::seconds(10)));
  EXPECT_THAT(rig.calls(), ElementsAre("run a"));
  EXPECT_THAT(rig.events(kOne, "build"), ElementsAre("build/a Success"));
  rig.restart();
  rig.journal->add(rig.build({"a", "b"}));
  ASSERT_TRUE(rig.journal->recover());
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run a", "run b"));
}

// --- orders

TEST_F(JournalTest, DuplicateOfAMessageIsDropped) {
  rig.journal->add(rig.build({"a"}));
  const Message message = rig.message("build", kOne);
  EXPECT_FALSE(rig.order(message).duplicate);
  ASSERT_TRUE(wait_idle());
  EXPECT_TRUE(rig.order(message).duplicate);
  rig.restart();
  rig.journal->add(rig.build({"a"}));
  EXPECT_TRUE(rig.order(message).duplicate);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run a"));
}

TEST_F(JournalTest, OrdersOnOneInstanceTakeTurnsAndOthersRunBesideThem) {
  rig.put_instance(kOne, VmState::kActive);
  rig.journal->add(rig.verb("stop", Order::kStop, {"slow"}));
  rig.journal->add(rig.verb("reboot", Order::kRebootHard, {"next"}));
  rig.journal->add(rig.build({"other"}));
  Door door;
  rig.script("run slow", waits_at(door));
  rig.order("stop", kOne);
  rig.order("reboot", kOne);
  ASSERT_TRUE(door.wait_for_arrivals(1));
  rig.order("build", uuid_of(2));
  ASSERT_TRUE(eventually([&] { return !rig.journal->has_open(uuid_of(2)); }));
  EXPECT_THAT(rig.calls(), ElementsAre("run slow", "run other"));
  EXPECT_TRUE(rig.journal->has_open(kOne));
  door.open();
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run slow", "run other", "run next"));
}

TEST_F(JournalTest, RecoveryKeepsTheOrderInWhichOrdersCame) {
  rig.put_instance(kOne, VmState::kActive);
  rig.leave_operation("stop", kOne, State::kOpen, 0);
  rig.leave_operation("reboot", kOne, State::kOpen, 0);
  rig.restart();
  rig.journal->add(rig.verb("stop", Order::kStop, {"first"}));
  rig.journal->add(rig.verb("reboot", Order::kRebootHard, {"second"}));
  ASSERT_EQ(rig.journal->recover().value_or(0), 2u);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run first", "run second"));
}

TEST_F(JournalTest, DeleteEndsABuildThatRunsAndThenRuns) {
  rig.journal->add(rig.build({"a", "b"}));
  rig.journal->add(rig.terminate({"remove!"}));
  std::vector<Uuid> woken;
  rig.journal->on_cancel([&](const Uuid& uuid) { woken.push_back(uuid); });
  Door door;
  rig.script("run a", waits_at(door));
  rig.order("build", kOne);
  ASSERT_TRUE(door.wait_for_arrivals(1));
  rig.order("terminate", kOne);
  EXPECT_THAT(woken, ElementsAre(kOne));
  EXPECT_EQ(rig.record(kOne).task_state, TaskState::kDeleting);
  door.open();
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run a", "undo b", "undo a", "run remove"));
  EXPECT_FALSE(rig.store->get<Instance>(kOne));
}

TEST_F(JournalTest, BuildWhoseDeleteWasOrderedBeforeTheCrashRunsNoFurtherStep) {
  rig.put_instance(kOne, VmState::kBuilding);
  rig.leave_operation("build", kOne, State::kOpen, 1);
  rig.leave_operation("terminate", kOne, State::kOpen, 0);
  rig.restart();
  rig.journal->add(rig.build({"a", "b"}));
  rig.journal->add(rig.terminate({"remove!"}));
  ASSERT_EQ(rig.journal->recover().value_or(0), 2u);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("undo b", "undo a", "run remove"));
}

TEST_F(JournalTest, DeleteEndsABuildThatIsParked) {
  rig.journal->add(rig.build({"a"}));
  rig.journal->add(rig.terminate({"remove!"}));
  rig.script("run a", fails_with(Code::kUnavailable));
  rig.order("build", kOne);
  for (int tries = 1; tries <= 7; ++tries) {  // until it is parked for longer than this test waits
    ASSERT_TRUE(eventually([&] { return rig.count("run a") >= tries && rig.journal->stats().parked == 1; })) << tries;
    if (tries < 7) rig.journal->wake_parked();
  }
  rig.order("terminate", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.count("run a"), 7);
  EXPECT_FALSE(rig.store->get<Instance>(kOne));
}

TEST_F(JournalTest, WhatADeleteMarkedStaysUntilItRan) {
  rig.journal->add(rig.build({"a"}));
  rig.journal->add(rig.terminate({"remove!"}));
  Door building, removing;
  rig.script("run a", waits_at(building));
  rig.script("run remove", waits_at(removing));
  rig.order("build", kOne);
  ASSERT_TRUE(building.wait_for_arrivals(1));
  rig.order("terminate", kOne);
  building.open();
  ASSERT_TRUE(removing.wait_for_arrivals(1));
  EXPECT_EQ(rig.record(kOne).task_state, TaskState::kDeleting);
  removing.open();
  ASSERT_TRUE(wait_idle());
}

TEST_F(JournalTest, FailingDeleteIsTriedAgainThenSaidAndCanBeOrderedAnew) {
  rig.put_instance(kOne, VmState::kActive);
  rig.journal->add(rig.terminate({"a!", "b!"}));
  rig.script("run b", fails_with(Code::kExternal));
  rig.order("terminate", kOne);
  ASSERT_TRUE(eventually([&] {
    rig.journal->wake_parked();
    return rig.idle();
  }));
  EXPECT_GT(rig.count("run b"), 3);
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kError);
  EXPECT_EQ(rig.record(kOne).task_state, TaskState::kNone);
  rig.script("run b", nullptr);
  EXPECT_FALSE(rig.order("terminate", kOne).refusal);
  ASSERT_TRUE(wait_idle());
  EXPECT_FALSE(rig.store->get<Instance>(kOne));
}

TEST_F(JournalTest, OnlySoManyOfAVerbRunAtOnceAndTheOthersHoldNoWorker) {
  Verb build = rig.build({"a"});
  build.at_once = 2;
  rig.journal->add(std::move(build));
  rig.journal->add(rig.terminate({"remove!"}));
  Door door;
  rig.script("run a", waits_at(door));
  for (int n = 1; n <= 6; ++n) rig.order("build", uuid_of(n));
  ASSERT_TRUE(door.wait_for_arrivals(2));
  // Of another verb, and of one that waits for its turn, a delete runs all the same.
  rig.order("terminate", uuid_of(6));
  ASSERT_TRUE(eventually([&] { return !rig.journal->has_open(uuid_of(6)); }));
  EXPECT_EQ(door.waiting(), 2);
  EXPECT_EQ(rig.count("run a"), 2);
  EXPECT_EQ(rig.workers->stats().queued, 0u);
  door.open();
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.count("run a"), 5);
  EXPECT_EQ(rig.journal->stats().done, 6u);
}

TEST_F(JournalTest, ParkedOperationGivesItsTurnAway) {
  Verb build = rig.build({"a"});
  build.at_once = 1;
  rig.journal->add(std::move(build));
  rig.script("run a", [&](StepContext& ctx) -> Result<void> {
    if (ctx.instance().uuid == kOne) return fail(Code::kUnavailable, "not now");
    return {};
  });
  rig.order("build", kOne);
  ASSERT_TRUE(eventually([&] { return rig.journal->stats().parked == 1; }));
  rig.order("build", uuid_of(2));
  ASSERT_TRUE(eventually([&] { return !rig.journal->has_open(uuid_of(2)); }));
  EXPECT_EQ(rig.record(uuid_of(2)).vm_state, VmState::kActive);
}

TEST_F(JournalTest, RefusedBuildLeavesNoInstanceInBuild) {
  rig.put_instance(kOne, VmState::kBuilding, TaskState::kScheduling);
  rig.journal->add(rig.build({"a"}));
  Message message = rig.message("build", kOne);
  message.args["unfit"] = true;
  EXPECT_TRUE(rig.order(message).refusal);
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kError);
  EXPECT_EQ(rig.record(kOne).fault->message, "the image does not fit");
  EXPECT_THAT(rig.events(kOne, "build"), ElementsAre("build/accept Error"));
  EXPECT_THAT(rig.calls(), IsEmpty());
}

TEST_F(JournalTest, SecondBuildOfOneIdIsRefusedAndTheFirstIsNotTouched) {
  rig.journal->add(rig.build({"a"}));
  Door door;
  rig.script("run a", waits_at(door));
  rig.order("build", kOne);
  ASSERT_TRUE(door.wait_for_arrivals(1));
  const auto second = rig.order("build", kOne);
  ASSERT_TRUE(second.refusal);
  EXPECT_EQ(second.refusal->code, Code::kConflict);
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kBuilding);
  door.open();
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kActive);
}

TEST_F(JournalTest, RefusedOrderTakesBackWhatTheApiMarked) {
  rig.put_instance(kOne, VmState::kStopped, TaskState::kPoweringOff);
  rig.journal->add(rig.verb("stop", Order::kStop, {"a"}));
  ASSERT_TRUE(rig.order("stop", kOne).refusal);
  EXPECT_EQ(rig.record(kOne).task_state, TaskState::kNone);
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kStopped);
}

TEST_F(JournalTest, CallIsAnsweredWithTheResultOrTheFailure) {
  rig.journal->add(rig.build({"a"}));
  std::mutex mutex;
  std::vector<std::string> replies;
  rig.journal->on_reply([&](const Operation& op, const Result<Json>& outcome) {
    const std::lock_guard lock(mutex);
    replies.push_back(op.msg_id + ": " + (outcome ? outcome->dump() : outcome.error().chain()));
  });
  Message good = rig.message("build", kOne);
  good.msg_id = "call-1";
  rig.order(good);
  ASSERT_TRUE(wait_idle());
  rig.script("run a", fails_with(Code::kExternal));
  Message bad = rig.message("build", uuid_of(2));
  bad.msg_id = "call-2";
  rig.order(bad);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(replies, ElementsAre("call-1: {\"uuid\":\"" + kOne + "\"}", "call-2: it broke"));
}

// --- what must not go wrong when something else does

TEST_F(JournalTest, StoreThatCannotWriteMakesTheStepRunAgainRatherThanUndo) {
  rig.journal->add(rig.build({"a", "b"}));
  rig.script("run b", [&](StepContext& ctx) -> Result<void> {
    if (rig.count("run b") > 1) return {};
    ctx.on_commit([](Tx&, Instance&) -> Result<void> { return fail(Code::kNoSpace, "store: database or disk is full"); });
    return {};
  });
  rig.order("build", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run a", "run b", "run b"));
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kActive);
  EXPECT_THAT(rig.events(kOne, "build"), ElementsAre("build/a Success", "build/b Success"));
}

TEST_F(JournalTest, ChangeThatIsImpossibleUndoesTheStep) {
  rig.journal->add(rig.build({"a"}));
  rig.script("run a", [](StepContext& ctx) -> Result<void> {
    ctx.on_commit([](Tx&, Instance& record) -> Result<void> {
      record.key_name = "half";
      return fail(Code::kNoResources, "no address is left");
    });
    return {};
  });
  rig.order("build", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_THAT(rig.calls(), ElementsAre("run a", "undo a"));
  EXPECT_EQ(rig.record(kOne).fault->code, Code::kNoResources);
  EXPECT_EQ(rig.record(kOne).key_name, "");
}

TEST_F(JournalTest, ExceptionInAStepFailsItsOperationAlone) {
  rig.journal->add(rig.build({"a"}));
  rig.script("run a", [](StepContext&) -> Result<void> { throw std::runtime_error("a defect"); });
  rig.order("build", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.record(kOne).fault->code, Code::kInternal);
  EXPECT_THAT(rig.record(kOne).fault->message, HasSubstr("a defect"));
  EXPECT_EQ(rig.count("undo a"), 1);
}

TEST_F(JournalTest, RecordThatVanishedEndsTheOperation) {
  rig.journal->add(rig.build({"a", "b"}));
  rig.script("run a",
             [&](StepContext&) { return rig.store->write(Durability::kOrdered, [](Tx& tx) { return tx.erase<Instance>(kOne); }); });
  rig.order("build", kOne);
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.count("run b"), 0);
  EXPECT_EQ(rig.open_operations(), 0u);
  EXPECT_EQ(rig.journal->stats().failed, 1u);
}

TEST_F(JournalTest, UndoingWithoutARecordEndsTheOperation) {
  rig.leave_operation("build", kOne, State::kUndoing, 1);
  rig.leave_operation("build", uuid_of(2), State::kUndoing, -1);
  rig.restart();
  rig.journal->add(rig.build({"a", "b"}));
  ASSERT_EQ(rig.journal->recover().value_or(0), 2u);
  ASSERT_TRUE(wait_idle());
  EXPECT_EQ(rig.open_operations(), 0u);
}

TEST_F(JournalTest, OperationOfAnotherVersionLeavesNoInstanceInBetween) {
  rig.put_instance(kOne, VmState::kBuilding, TaskState::kSpawning);
  rig.put_instance(uuid_of(2), VmState::kActive, TaskState::kPoweringOff);
  rig.leave_operation("build", kOne, State::kOpen, 7);
  rig.leave_operation("no_such_verb", uuid_of(2), State::kOpen, 0);
  rig.restart();
  rig.journal->add(rig.build({"a"}));
  EXPECT_EQ(rig.journal->recover().value_or(9), 0u);
  for (const Uuid& uuid : {kOne, uuid_of(2)}) {
    EXPECT_EQ(rig.record(uuid).vm_state, VmState::kError);
    EXPECT_EQ(rig.record(uuid).task_state, TaskState::kNone);
    EXPECT_THAT(rig.record(uuid).fault->message, HasSubstr("another version"));
  }
  EXPECT_EQ(rig.open_operations(), 0u);
}

TEST_F(JournalTest, FaultPointsNameEveryPlaceOfEveryStep) {
  rig.journal->add(rig.build({"a", "b!"}));
  EXPECT_THAT(rig.journal->fault_points(),
              ElementsAre("accept:before", "accept:committed", "build/a:before", "build/a:ran", "build/a:recorded", "build/a:undo_before",
                          "build/a:undone", "build/a:undo_recorded", "build/b:before", "build/b:ran", "build/b:recorded"));
}

}  // namespace
}  // namespace ca
