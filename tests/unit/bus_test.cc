// Envelopes, the spool and the dispatcher: what is malformed is answered and gone, what is good is neither lost nor done twice.
#include <gmock/gmock.h>

#include <future>

#include "agent/bus/dispatcher.h"
#include "agent/bus/envelope.h"
#include "agent/bus/spool.h"
#include "tests/data/message_seeds.h"
#include "tests/unit/journal_rig.h"

namespace ca {
namespace {

using ::testing::ElementsAre;
using testing::eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::JournalRig;
using ::testing::SizeIs;
using testing::uuid_of;

const Uuid kOne = uuid_of(1);

Json inner(const std::string& method, Json args) {
  return {{"method", method}, {"args", std::move(args)}, {"version", "6.0"}, {"_unique_id", "0123456789abcdef"}};
}

Json start_args(const Uuid& uuid) { return {{"instance", {{"uuid", uuid}}}}; }

std::string envelope(const Json& message) { return Json{{"oslo.version", "2.0"}, {"oslo.message", message.dump()}}.dump(); }

// --- envelopes

class EnvelopeTest : public ::testing::Test {
 protected:
  // "CODE: chain" of the refusal.
  std::string refusal(const std::string& body) {
    const auto message = decode_envelope(body, schemas, &partial);
    if (message) return "taken";
    return std::string(to_string(message.error().code)) + ": " + message.error().chain();
  }

  SchemaSet schemas;
  Message partial;
};

TEST_F(EnvelopeTest, WhatIsEncodedIsDecodedAgain) {
  Message message;
  message.method = "reboot_instance";
  message.args = start_args(kOne);
  message.args["reboot_type"] = "SOFT";
  message.unique_id = "unique-id-1";
  message.msg_id = "message-id-1";
  message.reply_q = "reply_1";
  message.timeout_s = 12.5;
  message.request_id = "req-1";
  message.user_id = "user";
  message.project_id = "project";
  const auto back = decode_envelope(encode_envelope(message), schemas);
  ASSERT_TRUE(back) << back.error().chain();
  EXPECT_EQ(back->method, message.method);
  EXPECT_EQ(back->args, message.args);
  EXPECT_EQ(back->unique_id, message.unique_id);
  EXPECT_EQ(back->msg_id, message.msg_id);
  EXPECT_EQ(back->reply_q, message.reply_q);
  EXPECT_EQ(back->timeout_s, message.timeout_s);
  EXPECT_EQ(back->request_id, message.request_id);
  EXPECT_EQ(back->user_id, message.user_id);
  EXPECT_EQ(back->project_id, message.project_id);
}

TEST_F(EnvelopeTest, EveryMethodsGoodMessageIsTakenAndEveryMalformedOneRefused) {
  for (const auto& seed : testing::message_seeds()) {
    const auto message = decode_envelope(seed.body, schemas);
    EXPECT_EQ(message.has_value(), seed.good) << seed.name << ": " << (message ? "taken" : message.error().chain());
  }
}

TEST_F(EnvelopeTest, MessageWithoutRequestIdGetsOne) {
  const auto message = decode_envelope(envelope(inner("start_instance", start_args(kOne))), schemas);
  ASSERT_TRUE(message);
  EXPECT_THAT(message->request_id, ::testing::StartsWith("req-"));
  EXPECT_FALSE(message->timeout_s);
}

TEST_F(EnvelopeTest, WhatIsNoEnvelopeIsRefusedWithTheReason) {
  EXPECT_THAT(refusal(""), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("\0\1\2"), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("{\"oslo.version\": \"2.0\""), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("no oslo.messaging 2.x envelope"));
  EXPECT_THAT(refusal("{}"), HasSubstr("oslo.version is missing"));
  EXPECT_THAT(refusal(R"({"oslo.version": 2, "oslo.message": "{}"})"), HasSubstr("oslo.version is missing"));
  EXPECT_THAT(refusal(R"({"oslo.version": "1.0", "oslo.message": "{}"})"), HasSubstr("oslo.version is missing"));
  EXPECT_THAT(refusal(R"({"oslo.version": "2.0"})"), HasSubstr("oslo.message of an envelope is broken"));
  EXPECT_THAT(refusal(R"({"oslo.version": "2.0", "oslo.message": {}})"), HasSubstr("oslo.message of an envelope is broken"));
  EXPECT_THAT(refusal(R"({"oslo.version": "2.0", "oslo.message": "nonsense"})"), HasSubstr("oslo.message of an envelope is broken"));
  EXPECT_THAT(refusal(R"({"oslo.version": "2.0", "oslo.message": "[1]"})"), HasSubstr("is not an object"));
}

TEST_F(EnvelopeTest, HugeAndDeepBodiesAreRefusedByTheirMeasure) {
  EXPECT_THAT(refusal(std::string(10 << 20, 'x')), HasSubstr("10485760 bytes of JSON, at most 1048576 are taken"));
  EXPECT_THAT(refusal(std::string(1000, '[')), HasSubstr("nested deeper than 64"));
  const std::string deep = std::string(1000, '[') + std::string(1000, ']');
  EXPECT_THAT(refusal(Json{{"oslo.version", "2.0"}, {"oslo.message", deep}}.dump()), HasSubstr("nested deeper than 64"));
}

TEST_F(EnvelopeTest, MemberThatViolatesTheSchemaIsNamed) {
  Json message = inner("start_instance", start_args(kOne));
  message["_unique_id"] = 7;
  EXPECT_THAT(refusal(envelope(message)), HasSubstr("_unique_id"));
  message.erase("_unique_id");
  EXPECT_THAT(refusal(envelope(message)), HasSubstr("_unique_id"));
  message = inner("start_instance", "not an object");
  EXPECT_THAT(refusal(envelope(message)), HasSubstr("args"));
  EXPECT_THAT(refusal(envelope(inner("start_instance", Json::object()))), HasSubstr("instance"));
  EXPECT_THAT(refusal(envelope(inner("start_instance", {{"instance", {{"uuid", "../../etc"}}}}))), HasSubstr("instance.uuid"));
  Json reboot = start_args(kOne);
  reboot["reboot_type"] = "WARM";
  EXPECT_THAT(refusal(envelope(inner("reboot_instance", reboot))), HasSubstr("reboot_type"));
  Json surplus = start_args(kOne);
  surplus["command"] = "rm";
  EXPECT_THAT(refusal(envelope(inner("start_instance", surplus))), HasSubstr("command"));
}

TEST_F(EnvelopeTest, UnknownMethodsAreRefusedAndSoAreNamesThatAreNone) {
  EXPECT_THAT(refusal(envelope(inner("live_mutate", start_args(kOne)))), HasSubstr("unknown method 'live_mutate'"));
  EXPECT_THAT(refusal(envelope(inner("envelope", start_args(kOne)))), HasSubstr("unknown method 'envelope'"));
  EXPECT_THAT(refusal(envelope(inner("../records/instance", start_args(kOne)))), HasSubstr("method"));
  EXPECT_THAT(refusal(envelope(inner("", start_args(kOne)))), HasSubstr("method"));
}

TEST_F(EnvelopeTest, CallThatIsMalformedCanStillBeAnswered) {
  Json message = inner("start_instance", Json::object());
  message["_msg_id"] = "message-id-1";
  message["_reply_q"] = "reply_1";
  EXPECT_THAT(refusal(envelope(message)), HasSubstr("arguments of 'start_instance' are wrong"));
  EXPECT_EQ(partial.msg_id, "message-id-1");
  EXPECT_EQ(partial.reply_q, "reply_1");
  EXPECT_EQ(partial.method, "start_instance");
}

// --- the spool

class Handler final : public BusHandler {
 public:
  explicit Handler(std::function<Result<void>(const std::string&, const Acknowledge&)> take) : take_(std::move(take)) {}
  Result<void> on_message(std::string_view body, const Acknowledge& acknowledge) override {
    {
      const std::lock_guard lock(mutex_);
      bodies_.emplace_back(body);
    }
    return take_(std::string(body), acknowledge);
  }
  [[nodiscard]] std::vector<std::string> bodies() {
    const std::lock_guard lock(mutex_);
    return bodies_;
  }

 private:
  std::function<Result<void>(const std::string&, const Acknowledge&)> take_;
  std::mutex mutex_;
  std::vector<std::string> bodies_;
};

class SpoolTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::size_t left() {
    const auto rows = rig.store->spooled(0, 1000);
    EXPECT_TRUE(rows);
    return rows ? rows->size() : 0;
  }
  Handler taking() {
    return Handler(
        [this](const std::string&, const Acknowledge& acknowledge) { return rig.store->write(Durability::kFsync, acknowledge); });
  }

  JournalRig rig;
  std::atomic<int> handed = 0;
};

TEST_F(SpoolTest, MessagesAreHandedOutInOrderAlsoThoseOfBefore) {
  {
    SpoolBus before(*rig.store, *rig.timers);
    ASSERT_TRUE(before.publish_raw("compute.lab", "first"));
  }
  rig.restart();
  Handler handler = taking();
  SpoolBus bus(*rig.store, *rig.timers);
  bus.start(handler);
  for (int n = 0; n < 100; ++n) ASSERT_TRUE(bus.publish_raw("compute.lab", std::to_string(n)));
  ASSERT_TRUE(eventually([&] { return left() == 0; }));
  bus.stop();
  std::vector<std::string> wanted{"first"};
  for (int n = 0; n < 100; ++n) wanted.push_back(std::to_string(n));
  EXPECT_EQ(handler.bodies(), wanted);
}

TEST_F(SpoolTest, MessageLeavesOnlyInTheTransactionThatTakesItOver) {
  Handler handler([this](const std::string&, const Acknowledge& acknowledge) {
    const bool first = handed++ == 0;
    return rig.store->write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
      CA_TRY_VOID(acknowledge(tx));
      if (first) return fail(Code::kNoSpace, "the disk is full");
      return {};
    });
  });
  SpoolBus bus(*rig.store, *rig.timers);
  ASSERT_TRUE(bus.publish_raw("compute.lab", "order"));
  bus.start(handler);
  ASSERT_TRUE(eventually([&] { return handed == 1; }));
  EXPECT_EQ(left(), 1u);
  ASSERT_TRUE(eventually([&] { return left() == 0; }));
  bus.stop();
  EXPECT_THAT(handler.bodies(), ElementsAre("order", "order"));
}

TEST_F(SpoolTest, MessageOfATransactionThatFailedWasNeverSent) {
  Handler handler = taking();
  SpoolBus bus(*rig.store, *rig.timers);
  bus.start(handler);
  const Message message = rig.message("start_instance", kOne);
  EXPECT_FALSE(rig.store->write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY_VOID(bus.publish(tx, "compute.lab", message));
    return fail(Code::kConflict, "no");
  }));
  EXPECT_TRUE(rig.store->write(Durability::kFsync, [&](Tx& tx) { return bus.publish(tx, "compute.lab", message); }));
  ASSERT_TRUE(eventually([&] { return left() == 0 && !handler.bodies().empty(); }));
  bus.stop();
  EXPECT_THAT(handler.bodies(), SizeIs(1));
}

TEST_F(SpoolTest, TenMebibytesOfJunkAreNotTakenIn) {
  SpoolBus bus(*rig.store, *rig.timers);
  const auto published = bus.publish_raw("compute.lab", std::string(10 << 20, 'x'));
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().code, Code::kTooLarge);
  EXPECT_EQ(left(), 0u);
}

TEST_F(SpoolTest, ReplyReachesTheOneWhoWaitsAndSilenceIsATimeout) {
  SpoolBus bus(*rig.store, *rig.timers);
  std::mutex mutex;
  std::vector<std::string> heard;
  const auto hear = [&](const std::string& who) {
    return [&, who](Result<std::string> body) {
      const std::lock_guard lock(mutex);
      heard.push_back(who + ": " + (body ? *body : std::string(to_string(body.error().code))));
    };
  };
  const auto heard_so_far = [&] {
    const std::lock_guard lock(mutex);
    return heard;
  };
  bus.expect_reply("call-1", std::chrono::seconds(30), hear("one"));
  bus.reply("reply_1", "call-9", "for nobody");
  bus.reply("reply_1", "call-1", "answer");
  bus.reply("reply_1", "call-1", "again");
  EXPECT_THAT(heard_so_far(), ElementsAre("one: answer"));
  bus.expect_reply("call-2", std::chrono::milliseconds(10), hear("two"));
  ASSERT_TRUE(eventually([&] { return heard_so_far().size() == 2; }));
  EXPECT_EQ(heard_so_far().back(), "two: " + std::string(to_string(Code::kTimeout)));
}

// --- all of it together

class DispatcherTest : public SpoolTest {
 protected:
  DispatcherTest() : bus(*rig.store, *rig.timers), dispatcher(bus, *rig.journal, *rig.store, schemas, *rig.workers) {
    rig.put_instance(kOne, VmState::kStopped);
    rig.journal->add(rig.verb("start_instance", Order::kStart, {"a"}));
    rig.journal->add(rig.verb("stop_instance", Order::kStop, {"b"}));
    dispatcher.add_query("ping", [](const Message& message) -> Result<Json> { return message.args.at("arg"); });
  }
  ~DispatcherTest() override { bus.stop(); }
  void run() { bus.start(dispatcher); }
  void send(const std::string& body) { ASSERT_TRUE(bus.publish_raw("compute.lab", body)); }
  // An order that was taken over is on its way for a moment before the journal counts it as open.
  [[nodiscard]] bool wait_done() {
    return eventually([&] { return left() == 0 && rig.idle() && rig.journal->stats().done >= 1; });
  }
  // The reply's inner message.
  Json call(Json message) {
    std::promise<Json> reply;
    message["_msg_id"] = "message-id-1";
    message["_reply_q"] = "reply_1";
    bus.expect_reply("message-id-1", std::chrono::seconds(10), [&](const Result<std::string>& body) {
      reply.set_value(body ? Json::parse(Json::parse(*body).at("oslo.message").get<std::string>()) : Json(body.error().chain()));
    });
    send(envelope(message));
    return reply.get_future().get();
  }

  SchemaSet schemas;
  SpoolBus bus;
  Dispatcher dispatcher;
};

TEST_F(DispatcherTest, WhatIsRefusedLeavesTheQueueAndTheNextMessageIsTaken) {
  send("junk");
  send(std::string(1 << 20, '['));
  send(envelope(inner("no_such_method", start_args(kOne))));
  send(envelope(inner("start_instance", Json::object())));
  send(envelope(inner("start_instance", start_args(uuid_of(404)))));
  Json good = inner("start_instance", start_args(kOne));
  good["_unique_id"] = "another-unique-id";
  send(envelope(good));
  run();
  ASSERT_TRUE(wait_done());
  EXPECT_THAT(rig.calls(), ElementsAre("run a"));
  EXPECT_EQ(rig.record(kOne).vm_state, VmState::kActive);
}

TEST_F(DispatcherTest, MessageThatBreaksAVerbIsRefusedAndHoldsUpNoOther) {
  Verb verb = rig.verb("stop_instance", Order::kStop, {"b"});
  verb.accept = [](const Message&, Tx&) -> Result<Instance> { throw std::out_of_range("a defect"); };
  rig.journal->add(std::move(verb));
  rig.put_instance(uuid_of(2), VmState::kActive, TaskState::kPoweringOff);
  Json bad = inner("stop_instance", start_args(uuid_of(2)));
  bad["_unique_id"] = "another-unique-id";
  send(envelope(bad));
  send(envelope(inner("start_instance", start_args(kOne))));
  run();
  ASSERT_TRUE(wait_done());
  EXPECT_THAT(rig.calls(), ElementsAre("run a"));
  EXPECT_EQ(rig.record(uuid_of(2)).task_state, TaskState::kNone);
}

TEST_F(DispatcherTest, QueryThatBreaksIsAnsweredWithItsFailure) {
  dispatcher.add_query("get_console_output", [](const Message&) -> Result<Json> { throw std::runtime_error("a defect"); });
  run();
  const Json failure = Json::parse(call(inner("get_console_output", start_args(kOne))).at("failure").get<std::string>());
  EXPECT_THAT(failure.at("message").get<std::string>(), HasSubstr("a defect"));
}

TEST_F(DispatcherTest, SameMessageTwiceIsDoneOnce) {
  const std::string body = envelope(inner("start_instance", start_args(kOne)));
  send(body);
  send(body);
  run();
  ASSERT_TRUE(wait_done());
  EXPECT_THAT(rig.calls(), ElementsAre("run a"));
  EXPECT_THAT(rig.events(kOne, "start_instance"), ElementsAre("start_instance/a Success"));
}

TEST_F(DispatcherTest, CallIsAnsweredWithTheResult) {
  run();
  const Json reply = call(inner("start_instance", start_args(kOne)));
  EXPECT_EQ(reply.at("result"), (Json{{"uuid", kOne}}));
  EXPECT_TRUE(reply.at("failure").is_null());
}

TEST_F(DispatcherTest, CallThatIsRefusedIsAnsweredWithNovasException) {
  run();
  const Json reply = call(inner("stop_instance", start_args(kOne)));
  const Json failure = Json::parse(reply.at("failure").get<std::string>());
  EXPECT_EQ(failure.at("class"), "InstanceInvalidState");
  EXPECT_THAT(failure.at("message").get<std::string>(), HasSubstr("while it is in vm_state stopped"));
  EXPECT_THAT(rig.calls(), IsEmpty());
}

TEST_F(DispatcherTest, CallThatIsMalformedIsAnsweredWithTheMember) {
  run();
  const Json reply = call(inner("start_instance", {{"instance", {{"uuid", 7}}}}));
  const Json failure = Json::parse(reply.at("failure").get<std::string>());
  EXPECT_EQ(failure.at("class"), "Invalid");
  EXPECT_THAT(failure.at("message").get<std::string>(), HasSubstr("instance.uuid"));
}

TEST_F(DispatcherTest, QueryIsAnsweredAndLeavesNoOperation) {
  run();
  const Json reply = call(inner("ping", {{"arg", "hello"}}));
  EXPECT_EQ(reply.at("result"), "hello");
  EXPECT_EQ(rig.journal->stats().done, 0u);
  EXPECT_EQ(left(), 0u);
}

}  // namespace
}  // namespace ca
