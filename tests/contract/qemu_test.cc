// What only QEMU under a real libvirtd can show: a daemon that dies or hangs, guests that outlive it, libvirt's own refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "agent/core/ids.h"
#include "drivers/hypervisor/libvirt/libvirt_hypervisor.h"
#include "tests/contract/lab.h"
#include "tests/recording_listener.h"

namespace ca {
namespace {

using Kind = DomainEvent::Kind;
using std::chrono::steady_clock;
using testing::HasSubstr;

class QemuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!in_lab()) GTEST_SKIP() << kNoLab;
    start({.keepalive_interval_s = 1, .keepalive_count = 1});
  }
  void TearDown() override {
    if (!hypervisor) return;
    static_cast<void>(hypervisor->destroy(uuid));
    static_cast<void>(hypervisor->undefine(uuid));
    hypervisor->stop();
  }
  void start(const LibvirtOptions& options) {
    hypervisor = make_libvirt_hypervisor(options);
    hypervisor->start(listener);
    ASSERT_NE(listener.wait_for_connection(true), "");
  }
  std::string xml(const std::string& devices = {}) const {
    return "<domain type='qemu'><name>instance-" + uuid.substr(0, 8) + "</name><uuid>" + uuid +
           "</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu><os><type "
           "arch='x86_64'>hvm</type></os><features><acpi/></features><devices>" +
           devices + "</devices></domain>";
  }

  const std::string uuid = new_uuid();
  RecordingListener listener;
  std::unique_ptr<Hypervisor> hypervisor;
};

TEST_F(QemuTest, AKilledLibvirtdIsReportedAtOnceAndReconnectedWithItsEvents) {
  ASSERT_TRUE(hypervisor->define(xml()));
  ASSERT_TRUE(hypervisor->create(uuid));
  lab_ctl("kill");
  EXPECT_THAT(listener.wait_for_connection(false, 1, std::chrono::seconds(5)), HasSubstr("closed the connection"));

  const auto asked = steady_clock::now();
  const auto unanswered = hypervisor->power_state(uuid);
  EXPECT_LT(steady_clock::now() - asked, std::chrono::milliseconds(100)) << "no call waits for the connection";
  ASSERT_FALSE(unanswered);
  EXPECT_EQ(unanswered.error().code, Code::kUnavailable);
  EXPECT_THAT(unanswered.error().action(), HasSubstr("libvirtd"));
  EXPECT_EQ(hypervisor->destroy(uuid).error().code, Code::kUnavailable) << "unknown is not gone";

  lab_ctl("start");
  ASSERT_NE(listener.wait_for_connection(true, 2), "");
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kRunning) << "guests outlive libvirtd";
  ASSERT_TRUE(hypervisor->define(xml()));
  EXPECT_TRUE(listener.wait_for_event(uuid, Kind::kDefined, 2)) << "events are subscribed again";
  // No event is promised for it: libvirtd sends none while it still finds its guests again.
  ASSERT_TRUE(hypervisor->destroy(uuid));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kShutdown);
}

TEST_F(QemuTest, AHungLibvirtdIsNoticedByKeepaliveAndTheCallThatWaitsEnds) {
  lab_ctl("pause");
  auto waiting = std::async(std::launch::async, [&] { return hypervisor->list_domains(); });
  EXPECT_THAT(listener.wait_for_connection(false, 1, std::chrono::seconds(15)), HasSubstr("keepalive"));
  ASSERT_EQ(waiting.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_EQ(waiting.get().error().code, Code::kUnavailable);
  // The next attempt to connect is accepted by the kernel and answered by nobody; calls don't wait for it.
  const auto asked = steady_clock::now();
  EXPECT_EQ(hypervisor->list_domains().error().code, Code::kUnavailable);
  EXPECT_LT(steady_clock::now() - asked, std::chrono::milliseconds(100));
  lab_ctl("continue");
  ASSERT_NE(listener.wait_for_connection(true, 2), "");
  EXPECT_TRUE(hypervisor->list_domains());
}

TEST_F(QemuTest, StopEndsSoonAlthoughLibvirtdHangs) {
  lab_ctl("pause");
  const auto began = steady_clock::now();
  hypervisor->stop();
  EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(6));
  lab_ctl("continue");
}

TEST_F(QemuTest, StartedBeforeLibvirtdItConnectsWhenLibvirtdComes) {
  hypervisor->stop();
  lab_ctl("stop");
  RecordingListener late;
  const auto waiting = make_libvirt_hypervisor(LibvirtOptions{});
  waiting->start(late);
  EXPECT_THAT(late.wait_for_connection(false, 1, std::chrono::seconds(5)), HasSubstr("libvirt-sock"));
  EXPECT_FALSE(waiting->connected());
  lab_ctl("start");
  EXPECT_NE(late.wait_for_connection(true), "");
  EXPECT_TRUE(waiting->list_domains());
  waiting->stop();
}

TEST_F(QemuTest, AMisspeltElementIsRefusedInsteadOfIgnored) {
  const auto result = hypervisor->define(xml("<memballon model='virtio'/>"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kInvalid) << result.error().chain();
}

TEST_F(QemuTest, AGuestThatCannotStartSaysWhy) {
  ASSERT_TRUE(
      hypervisor->define(xml("<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
                             "<source file='/nonexistent/disk'/><target dev='vda' bus='virtio'/></disk>")));
  const auto result = hypervisor->create(uuid);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kExternal);
  EXPECT_THAT(result.error().chain(), HasSubstr("/nonexistent/disk"));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kShutdown);
}

TEST_F(QemuTest, AGuestWithoutAnOperatingSystemIgnoresShutdownAndIsEndedByDestroy) {
  ASSERT_TRUE(hypervisor->define(xml()));
  ASSERT_TRUE(hypervisor->create(uuid));
  EXPECT_TRUE(hypervisor->shutdown(uuid));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kRunning);
  ASSERT_TRUE(hypervisor->destroy(uuid));
  ASSERT_TRUE(listener.wait_for_event(uuid, Kind::kStopped));
  EXPECT_EQ(listener.events().back().detail, "destroyed");
}

TEST_F(QemuTest, AKilledEmulatorIsSeenAsStoppedByFailure) {
  ASSERT_TRUE(hypervisor->define(xml()));
  ASSERT_TRUE(hypervisor->create(uuid));
  const std::string pid = run_program({"/usr/bin/pgrep", "-f", uuid});
  run_program({"/bin/kill", "-KILL", pid.substr(0, pid.find('\n'))});
  ASSERT_TRUE(listener.wait_for_event(uuid, Kind::kStopped));
  EXPECT_EQ(listener.events().back().detail, "failed");
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kShutdown);
}

TEST_F(QemuTest, TheEmulatorOfTheHostIsNamed) {
  const auto facts = hypervisor->host_facts();
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->hypervisor_type, "QEMU");
  EXPECT_THAT(facts->emulator, HasSubstr("qemu"));
  EXPECT_FALSE(facts->cpu_features.empty());
  EXPECT_EQ(facts->hostname, "lab");
}

}  // namespace
}  // namespace ca
