#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/virterror.h>

#include <cerrno>

#include "drivers/hypervisor/libvirt/domain_events.h"
#include "drivers/hypervisor/libvirt/errors.h"
#include "drivers/hypervisor/libvirt/host_facts.h"
#include "drivers/hypervisor/libvirt/libvirt_hypervisor.h"

namespace ca {
namespace {

TEST(LibvirtErrors, AMissingDomainIsNotFoundAndNothingElseIs) {
  EXPECT_EQ(lv::code_of(VIR_ERR_NO_DOMAIN, VIR_FROM_QEMU, 0), Code::kNotFound);
  EXPECT_EQ(lv::code_of(VIR_ERR_NO_NETWORK, VIR_FROM_NETWORK, 0), Code::kNotFound);
  for (const int unreachable : {VIR_ERR_RPC, VIR_ERR_NO_CONNECT, VIR_ERR_INVALID_CONN}) {
    EXPECT_EQ(lv::code_of(unreachable, VIR_FROM_RPC, 0), Code::kUnavailable) << unreachable;
  }
}

TEST(LibvirtErrors, ASystemErrorIsUnavailableOnlyWhenTheTransportHadIt) {
  EXPECT_EQ(lv::code_of(VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC, ENOENT), Code::kUnavailable);
  EXPECT_EQ(lv::code_of(VIR_ERR_SYSTEM_ERROR, VIR_FROM_STORAGE, ENOENT), Code::kExternal);
  EXPECT_EQ(lv::code_of(VIR_ERR_SYSTEM_ERROR, VIR_FROM_QEMU, ENOSPC), Code::kNoSpace);
  EXPECT_EQ(lv::code_of(VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, 0), Code::kUnavailable);
  EXPECT_EQ(lv::code_of(VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU, 0), Code::kExternal);
}

TEST(LibvirtErrors, WrongStateTimeoutAndBadXmlAreToldApart) {
  EXPECT_EQ(lv::code_of(VIR_ERR_OPERATION_INVALID, VIR_FROM_DOMAIN, 0), Code::kConflict);
  EXPECT_EQ(lv::code_of(VIR_ERR_OPERATION_TIMEOUT, VIR_FROM_QEMU, 0), Code::kTimeout);
  EXPECT_EQ(lv::code_of(VIR_ERR_XML_ERROR, VIR_FROM_DOMAIN, 0), Code::kInvalid);
  EXPECT_EQ(lv::code_of(VIR_ERR_AUTH_UNAVAILABLE, VIR_FROM_POLKIT, 0), Code::kForbidden);
}

TEST(LibvirtEvents, KindsAndReasonsKeepLibvirtsWords) {
  const auto stopped = lv::lifecycle_event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED);
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->kind, DomainEvent::Kind::kStopped);
  EXPECT_EQ(stopped->detail, "destroyed");
  EXPECT_EQ(lv::lifecycle_event(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT)->detail, "from snapshot");
  EXPECT_EQ(lv::lifecycle_event(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_POSTCOPY_FAILED)->detail, "postcopy failed");
  EXPECT_EQ(lv::lifecycle_event(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_IOERROR)->detail, "I/O error");
  EXPECT_EQ(lv::lifecycle_event(VIR_DOMAIN_EVENT_STARTED, 4711)->detail, "4711");
  EXPECT_FALSE(lv::lifecycle_event(4711, 0));
}

TEST(LibvirtEvents, AGuestThatShutsDownStillRuns) {
  EXPECT_EQ(lv::power_state_of(VIR_DOMAIN_SHUTDOWN), PowerState::kRunning);
  EXPECT_EQ(lv::power_state_of(VIR_DOMAIN_SHUTOFF), PowerState::kShutdown);
  EXPECT_EQ(lv::power_state_of(VIR_DOMAIN_PMSUSPENDED), PowerState::kSuspended);
}

TEST(LibvirtCapabilities, TheEmulatorIsThatOfTheHostsOwnArchitecture) {
  HostFacts facts;
  ASSERT_TRUE(lv::read_capabilities(R"(<capabilities><host><cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor>
      <feature name='avx'/><feature name='svm'/></cpu></host>
      <guest><os_type>hvm</os_type><arch name='i686'><emulator>/usr/bin/qemu-system-i386</emulator></arch></guest>
      <guest><os_type>hvm</os_type><arch name='x86_64'><emulator>/usr/bin/qemu-system-x86_64</emulator></arch></guest></capabilities>)",
                                    facts));
  EXPECT_EQ(facts.arch, "x86_64");
  EXPECT_EQ(facts.cpu_model, "EPYC");
  EXPECT_EQ(facts.cpu_vendor, "AMD");
  EXPECT_THAT(facts.cpu_features, testing::ElementsAre("avx", "svm"));
  EXPECT_EQ(facts.emulator, "/usr/bin/qemu-system-x86_64");
}

TEST(LibvirtCapabilities, AnotherDocumentIsAnError) {
  HostFacts facts;
  EXPECT_EQ(lv::read_capabilities("<domain/>", facts).error().code, Code::kExternal);
  EXPECT_EQ(lv::read_capabilities("not xml", facts).error().code, Code::kExternal);
}

TEST(LibvirtHypervisor, BeforeItIsStartedEveryCallIsUnavailableAtOnce) {
  const auto hypervisor = make_libvirt_hypervisor(LibvirtOptions{.uri = "test:///default"});
  EXPECT_FALSE(hypervisor->connected());
  EXPECT_EQ(hypervisor->list_domains().error().code, Code::kUnavailable);
  EXPECT_EQ(hypervisor->destroy("00000000-0000-4000-8000-000000000001").error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace ca
