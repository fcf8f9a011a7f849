// What the fakes promise to the tests that use them, beyond the contract that every hypervisor keeps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "drivers/hypervisor/fake/fake_hypervisor.h"
#include "drivers/network/fake/fake_network.h"
#include "tests/recording_listener.h"

namespace ca {
namespace {

using Kind = DomainEvent::Kind;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kUuid = "11111111-1111-4111-8111-111111111111";
const std::string kXml = "<domain><name>instance-00000001</name><uuid>" + std::string(kUuid) + "</uuid></domain>";

class FakeHypervisorTest : public testing::Test {
 protected:
  ~FakeHypervisorTest() override { fake.stop(); }
  void start_with_domain() {
    fake.start(listener);
    ASSERT_TRUE(fake.define(kXml));
  }

  RecordingListener listener;
  FakeHypervisor fake;
};

TEST_F(FakeHypervisorTest, TheNthCallFailsWithoutEffectAndTheOthersWork) {
  start_with_domain();
  fake.faults().fail("create", 2, {.code = Code::kTimeout, .message = "slow"});
  EXPECT_TRUE(fake.create(kUuid));
  ASSERT_TRUE(fake.destroy(kUuid));
  EXPECT_EQ(fake.create(kUuid).error().code, Code::kTimeout);
  EXPECT_THAT(fake.running(), IsEmpty());
  EXPECT_TRUE(fake.create(kUuid));
}

TEST_F(FakeHypervisorTest, AFailureAfterTheEffectLeavesTheEffect) {
  start_with_domain();
  fake.faults().fail_after_effect("create", 1, {.code = Code::kUnavailable, .message = "lost"});
  EXPECT_EQ(fake.create(kUuid).error().code, Code::kUnavailable);
  EXPECT_THAT(fake.running(), ElementsAre(kUuid));
}

TEST_F(FakeHypervisorTest, AHangingCallWaitsUntilItIsReleased) {
  start_with_domain();
  fake.faults().hang("create");
  auto call = std::async(std::launch::async, [&] { return fake.create(kUuid); });
  ASSERT_TRUE(fake.faults().wait_until_hung("create"));
  EXPECT_THAT(fake.running(), IsEmpty());
  fake.faults().release("create");
  EXPECT_TRUE(call.get());
}

TEST_F(FakeHypervisorTest, HeldEventsComeLaterInOrderAndDroppedOnesNever) {
  start_with_domain();
  fake.flush_events();
  fake.hold_events();
  ASSERT_TRUE(fake.create(kUuid));
  ASSERT_TRUE(fake.destroy(kUuid));
  fake.flush_events();
  EXPECT_EQ(listener.count(kUuid, Kind::kStarted), 0);
  fake.release_events();
  fake.flush_events();
  EXPECT_EQ(listener.count(kUuid, Kind::kStarted), 1);
  EXPECT_EQ(listener.events().back().kind, Kind::kStopped);
  fake.drop_events(2);
  ASSERT_TRUE(fake.create(kUuid));
  ASSERT_TRUE(fake.destroy(kUuid));
  fake.flush_events();
  EXPECT_EQ(listener.count(kUuid, Kind::kStarted), 1);
  EXPECT_EQ(listener.count(kUuid, Kind::kStopped), 2);
}

TEST_F(FakeHypervisorTest, WhileTheConnectionIsLostNothingIsAnsweredAndNoEventComes) {
  start_with_domain();
  ASSERT_TRUE(fake.create(kUuid));
  fake.lose_connection("gone");
  EXPECT_EQ(fake.list_domains().error().code, Code::kUnavailable);
  fake.guest_powers_off(kUuid);
  fake.restore_connection();
  fake.flush_events();
  EXPECT_EQ(listener.wait_for_connection(false), "gone");
  EXPECT_NE(listener.wait_for_connection(true, 2), "");
  EXPECT_EQ(listener.count(kUuid, Kind::kStopped), 0);
  EXPECT_EQ(fake.power_state(kUuid), PowerState::kShutdown);
}

TEST_F(FakeHypervisorTest, AGuestThatIgnoresAcpiKeepsRunning) {
  start_with_domain();
  ASSERT_TRUE(fake.create(kUuid));
  fake.set_guest_ignores_acpi(true);
  ASSERT_TRUE(fake.shutdown(kUuid));
  EXPECT_THAT(fake.running(), ElementsAre(kUuid));
  fake.set_guest_ignores_acpi(false);
  ASSERT_TRUE(fake.shutdown(kUuid));
  EXPECT_TRUE(listener.wait_for_event(kUuid, Kind::kShutdown));
  EXPECT_THAT(fake.running(), IsEmpty());
}

TEST_F(FakeHypervisorTest, CallsAreRecordedWithTheirSubject) {
  start_with_domain();
  ASSERT_TRUE(fake.create(kUuid));
  EXPECT_EQ(fake.faults().count("create", kUuid), 1);
  EXPECT_EQ(fake.faults().count("destroy"), 0);
  EXPECT_EQ(fake.faults().calls().front().method, "define");
}

TEST_F(FakeHypervisorTest, ACopyEndsWithItsDomain) {
  start_with_domain();
  EXPECT_EQ(fake.start_block_copy(kUuid, "vda", "/dev/null", DiskFormat::kRaw).error().code, Code::kConflict) << "it is off";
  ASSERT_TRUE(fake.create(kUuid));
  ASSERT_TRUE(fake.start_block_copy(kUuid, "vda", "/dev/null", DiskFormat::kRaw));
  EXPECT_TRUE(listener.wait_for_event(kUuid, Kind::kBlockJob));
  EXPECT_TRUE(fake.block_job(kUuid, "vda")->ready);
  ASSERT_TRUE(fake.destroy(kUuid));
  EXPECT_FALSE(fake.block_job(kUuid, "vda")->active);
  EXPECT_TRUE(fake.end_block_job(kUuid, "vda"));
}

TEST(FakeNetwork, PortsArePluggedUntilUnpluggedAndFaultsWork) {
  FakeNetworkDriver fake;
  const Network network{.id = "22222222-1111-4111-8111-111111111111"};
  Port port;
  port.id = "55555555-1111-4111-8111-111111111111";
  EXPECT_EQ(fake.plug(network, port, "one").error().code, Code::kNotFound);
  ASSERT_TRUE(fake.ensure(network, {}));
  ASSERT_TRUE(fake.plug(network, port, "one"));
  EXPECT_THAT(fake.plugged(network.id), ElementsAre(std::pair(port.id, "one")));
  fake.faults().fail("unplug", 1, {.code = Code::kIo, .message = "no"});
  EXPECT_EQ(fake.unplug(network, port).error().code, Code::kIo);
  ASSERT_TRUE(fake.unplug(network, port));
  EXPECT_THAT(fake.plugged(network.id), IsEmpty());
  EXPECT_EQ(fake.bridge_for(network), "br22222222-11");
}

}  // namespace
}  // namespace ca
