// The probe's guest on real QEMU. Needs neither root nor KVM: TCG proves the guest, whatever this host's KVM is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "drivers/hypervisor/kvm_probe/kvm_probe.h"
#include "drivers/process/posix/posix_process_runner.h"

namespace ca {
namespace {

TEST(KvmProbeContract, TheGuestRunsToItsEndOnACorrectProcessor) {
  const auto runner = make_posix_process_runner();
  const auto probe = probe_kvm(*runner, {.accel = "tcg", .wall_limit = std::chrono::seconds(20)});
  ASSERT_TRUE(probe) << probe.error().chain();
  EXPECT_TRUE(probe->usable) << probe->reason;
}

TEST(KvmProbeContract, OnThisHostItDecidesWithinItsLimit) {
  const auto runner = make_posix_process_runner();
  const auto began = std::chrono::steady_clock::now();
  const auto probe = probe_kvm(*runner);
  ASSERT_TRUE(probe) << probe.error().chain();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(6));
  EXPECT_FALSE(probe->reason.empty());
  std::cout << "KVM on this host is " << (probe->usable ? "usable: " : "not usable: ") << probe->reason << "\n";
}

}  // namespace
}  // namespace ca
