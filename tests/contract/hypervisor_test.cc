// What every Hypervisor keeps, checked on the fake, on libvirt's test driver and on QEMU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "agent/core/ids.h"
#include "drivers/hypervisor/fake/fake_hypervisor.h"
#include "drivers/hypervisor/libvirt/libvirt_hypervisor.h"
#include "tests/contract/lab.h"
#include "tests/recording_listener.h"

namespace ca {
namespace {

using Kind = DomainEvent::Kind;
using testing::HasSubstr;

enum class Kit { kFake, kTest, kQemu };

std::string kit_name(const testing::TestParamInfo<Kit>& info) {
  switch (info.param) {
    case Kit::kFake: return "Fake";
    case Kit::kTest: return "LibvirtTest";
    case Kit::kQemu: return "Qemu";
  }
  return "Unknown";
}

class HypervisorContract : public testing::TestWithParam<Kit> {
 protected:
  void SetUp() override {
    switch (GetParam()) {
      case Kit::kFake: hypervisor = std::make_unique<FakeHypervisor>(); break;
      case Kit::kTest: hypervisor = make_libvirt_hypervisor(LibvirtOptions{.uri = "test:///default"}); break;
      case Kit::kQemu:
        if (!in_lab()) GTEST_SKIP() << kNoLab;
        hypervisor = make_libvirt_hypervisor(LibvirtOptions{});
        break;
    }
    hypervisor->start(listener);
    ASSERT_NE(listener.wait_for_connection(true), "");
  }
  void TearDown() override {
    if (!hypervisor) return;
    static_cast<void>(hypervisor->destroy(uuid));
    static_cast<void>(hypervisor->undefine(uuid));
    hypervisor->stop();
  }

  std::string xml(const std::string& title = "first") const {
    const std::string type = GetParam() == Kit::kTest ? "test" : "qemu";
    return "<domain type='" + type + "'><name>" + name + "</name><uuid>" + uuid + "</uuid><title>" + title +
           "</title><memory unit='MiB'>32</memory><vcpu>1</vcpu><os><type arch='" + (type == "test" ? "i686" : "x86_64") +
           "'>hvm</type></os><features><acpi/></features></domain>";
  }
  void define_and_start() {
    ASSERT_TRUE(hypervisor->define(xml()));
    const auto started = hypervisor->create(uuid);
    ASSERT_TRUE(started) << started.error().chain();
  }
  const DomainSeen* seen(const std::vector<DomainSeen>& all) const {
    const auto it = std::ranges::find(all, uuid, &DomainSeen::uuid);
    return it == all.end() ? nullptr : &*it;
  }

  const std::string uuid = new_uuid();
  const std::string name = "instance-" + uuid.substr(0, 8);
  RecordingListener listener;
  std::unique_ptr<Hypervisor> hypervisor;
};

TEST_P(HypervisorContract, ALifeIsSeenInStateListAndEvents) {
  ASSERT_TRUE(hypervisor->define(xml()));
  EXPECT_TRUE(listener.wait_for_event(uuid, Kind::kDefined));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kShutdown);

  ASSERT_TRUE(hypervisor->create(uuid));
  EXPECT_TRUE(listener.wait_for_event(uuid, Kind::kStarted));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kRunning);
  auto all = hypervisor->list_domains();
  ASSERT_TRUE(all);
  ASSERT_NE(seen(*all), nullptr);
  EXPECT_EQ(seen(*all)->name, name);
  EXPECT_EQ(seen(*all)->state, PowerState::kRunning);
  EXPECT_TRUE(seen(*all)->persistent);

  ASSERT_TRUE(hypervisor->destroy(uuid));
  EXPECT_TRUE(listener.wait_for_event(uuid, Kind::kStopped));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kShutdown);

  ASSERT_TRUE(hypervisor->undefine(uuid));
  EXPECT_TRUE(listener.wait_for_event(uuid, Kind::kUndefined));
  EXPECT_EQ(hypervisor->power_state(uuid).error().code, Code::kNotFound);
  all = hypervisor->list_domains();
  ASSERT_TRUE(all);
  EXPECT_EQ(seen(*all), nullptr);
}

TEST_P(HypervisorContract, WhatIsDoneTwiceIsDoneOnce) {
  ASSERT_TRUE(hypervisor->define(xml()));
  ASSERT_TRUE(hypervisor->define(xml()));
  ASSERT_TRUE(hypervisor->create(uuid));
  EXPECT_TRUE(hypervisor->create(uuid));
  EXPECT_TRUE(hypervisor->resume(uuid)) << "it runs already";
  EXPECT_TRUE(hypervisor->destroy(uuid));
  EXPECT_TRUE(hypervisor->destroy(uuid));
  EXPECT_TRUE(hypervisor->undefine(uuid));
  EXPECT_TRUE(hypervisor->undefine(uuid));
  EXPECT_TRUE(hypervisor->destroy(uuid));
  EXPECT_TRUE(listener.wait_for_event(uuid, Kind::kUndefined));
  EXPECT_EQ(listener.count(uuid, Kind::kStarted), 1);
  EXPECT_EQ(listener.count(uuid, Kind::kStopped), 1);
}

TEST_P(HypervisorContract, APausedGuestGoesOn) {
  ASSERT_TRUE(hypervisor->define(xml()));
  EXPECT_EQ(hypervisor->suspend(uuid).error().code, Code::kConflict) << "it is off";
  ASSERT_TRUE(hypervisor->create(uuid));
  ASSERT_TRUE(hypervisor->suspend(uuid));
  EXPECT_TRUE(hypervisor->suspend(uuid)) << "it is paused already";
  EXPECT_TRUE(listener.wait_for_event(uuid, Kind::kSuspended));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kPaused);
  ASSERT_TRUE(hypervisor->resume(uuid));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kRunning);
}

TEST_P(HypervisorContract, ASavedGuestIsOffAndStartsOnceMore) {
  ASSERT_TRUE(hypervisor->define(xml()));
  EXPECT_EQ(hypervisor->managed_save(uuid).error().code, Code::kConflict) << "it is off and was not saved";
  ASSERT_TRUE(hypervisor->create(uuid));
  ASSERT_TRUE(hypervisor->managed_save(uuid));
  EXPECT_TRUE(hypervisor->managed_save(uuid)) << "it is saved already";
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kShutdown);
  ASSERT_TRUE(hypervisor->create(uuid));
  EXPECT_EQ(hypervisor->power_state(uuid), PowerState::kRunning);
  ASSERT_TRUE(hypervisor->managed_save(uuid));
  ASSERT_TRUE(hypervisor->remove_managed_save(uuid));
  EXPECT_TRUE(hypervisor->remove_managed_save(uuid)) << "there is none any more";
  EXPECT_EQ(hypervisor->managed_save(uuid).error().code, Code::kConflict);
}

TEST_P(HypervisorContract, ADomainThatIsNotThereIsNotFound) {
  EXPECT_EQ(hypervisor->suspend(uuid).error().code, Code::kNotFound);
  EXPECT_EQ(hypervisor->managed_save(uuid).error().code, Code::kNotFound);
  EXPECT_EQ(hypervisor->inject_nmi(uuid).error().code, Code::kNotFound);
  EXPECT_EQ(hypervisor->domain_stats(uuid).error().code, Code::kNotFound);
  EXPECT_TRUE(hypervisor->remove_managed_save(uuid)) << "nothing is saved of it";
  EXPECT_EQ(hypervisor->power_state(uuid).error().code, Code::kNotFound);
  EXPECT_EQ(hypervisor->domain_xml(uuid).error().code, Code::kNotFound);
  EXPECT_EQ(hypervisor->create(uuid).error().code, Code::kNotFound);
  EXPECT_EQ(hypervisor->shutdown(uuid).error().code, Code::kNotFound);
  EXPECT_EQ(hypervisor->reboot(uuid).error().code, Code::kNotFound);
}

TEST_P(HypervisorContract, AStoppedDomainCannotBeAskedToShutDown) {
  ASSERT_TRUE(hypervisor->define(xml()));
  EXPECT_EQ(hypervisor->shutdown(uuid).error().code, Code::kConflict);
  EXPECT_EQ(hypervisor->reboot(uuid).error().code, Code::kConflict);
  EXPECT_EQ(hypervisor->resume(uuid).error().code, Code::kConflict);
}

TEST_P(HypervisorContract, DefiningAgainReplacesTheDefinition) {
  ASSERT_TRUE(hypervisor->define(xml("first")));
  ASSERT_TRUE(hypervisor->define(xml("second")));
  const auto text = hypervisor->domain_xml(uuid);
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("second"));
}

TEST_P(HypervisorContract, ABadDefinitionIsInvalidAndANameTakenIsNot) {
  const auto broken = hypervisor->define("<domain><name>x</name>");
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Code::kInvalid) << broken.error().chain();
  ASSERT_TRUE(hypervisor->define(xml()));
  std::string other = xml();
  other.replace(other.find(uuid), uuid.size(), new_uuid());
  const auto taken = hypervisor->define(other);
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().chain(), HasSubstr(name));
}

TEST_P(HypervisorContract, UndefiningARunningDomainLeavesItRunningUntilItIsDestroyed) {
  define_and_start();
  ASSERT_TRUE(hypervisor->undefine(uuid));
  auto all = hypervisor->list_domains();
  ASSERT_TRUE(all);
  ASSERT_NE(seen(*all), nullptr);
  EXPECT_FALSE(seen(*all)->persistent);
  EXPECT_TRUE(hypervisor->undefine(uuid));
  ASSERT_TRUE(hypervisor->destroy(uuid));
  EXPECT_EQ(hypervisor->power_state(uuid).error().code, Code::kNotFound);
}

TEST_P(HypervisorContract, TheHostIsDescribed) {
  const auto facts = hypervisor->host_facts();
  ASSERT_TRUE(facts) << facts.error().chain();
  EXPECT_FALSE(facts->hostname.empty());
  EXPECT_FALSE(facts->arch.empty());
  EXPECT_FALSE(facts->hypervisor_type.empty());
  EXPECT_GT(facts->cpus, 0);
  EXPECT_GT(facts->memory_mib, 0);
}

TEST_P(HypervisorContract, AfterStopNoCallIsAnsweredAndNothingIsHeard) {
  ASSERT_TRUE(hypervisor->define(xml()));
  ASSERT_TRUE(listener.wait_for_event(uuid, Kind::kDefined));
  hypervisor->stop();
  const auto heard = listener.events().size();
  EXPECT_FALSE(hypervisor->connected());
  EXPECT_EQ(hypervisor->create(uuid).error().code, Code::kUnavailable);
  EXPECT_EQ(listener.events().size(), heard);
  hypervisor->start(listener);
  EXPECT_NE(listener.wait_for_connection(true, 2), "") << "it can be started again";
}

INSTANTIATE_TEST_SUITE_P(, HypervisorContract, testing::Values(Kit::kFake, Kit::kTest, Kit::kQemu), kit_name);

}  // namespace
}  // namespace ca
