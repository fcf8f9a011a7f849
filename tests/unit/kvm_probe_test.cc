#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <filesystem>

#include "drivers/hypervisor/kvm_probe/kvm_probe.h"
#include "drivers/process/scripted/scripted_process_runner.h"

namespace ca {
namespace {

using testing::HasSubstr;

// The device is not opened for "tcg", so that the verdicts are tested on any machine.
KvmProbeOptions without_device() { return KvmProbeOptions{.accel = "tcg", .work_dir = testing::TempDir()}; }

// What follows `option` in argv.
std::string after(const ProcessSpec& spec, const std::string& option) {
  const auto it = std::ranges::find(spec.argv, option);
  return it == spec.argv.end() ? "" : *(it + 1);
}

KvmProbe probe_with(ScriptedProcessRunner::Effect effect) {
  ScriptedProcessRunner runner;
  runner.expect({"/usr/bin/qemu-system-x86_64", "..."}, std::move(effect));
  auto probe = probe_kvm(runner, without_device());
  EXPECT_TRUE(probe) << probe.error().chain();
  EXPECT_EQ(runner.left(), 0U);
  return probe.value_or(KvmProbe{});
}

KvmProbe probe_ending_with(int status, const std::string& stages, const std::string& err = {}) {
  return probe_with([=](const ProcessSpec& spec) -> Result<ProcessResult> {
    std::ofstream(after(spec, "-debugcon").substr(5)) << stages;
    return ProcessResult{.exit_status = status, .out = {}, .err = err};
  });
}

TEST(KvmProbe, OnlyTheGuestsOwnVerdictMakesKvmUsable) {
  EXPECT_TRUE(probe_ending_with(85, "rplcifsutk").usable);
  for (const int status : {0, 1, 33, 65, 97, 129, 134}) EXPECT_FALSE(probe_ending_with(status, "rpl").usable) << status;
}

TEST(KvmProbe, TheReasonNamesTheStageAndWhatQemuSaid) {
  EXPECT_THAT(probe_ending_with(0, "rplci").reason, HasSubstr("at a software interrupt"));
  const auto probe = probe_ending_with(134, "", "qemu: warning: host doesn't support\nqemu: error: failed to set MSR 0x10a\n");
  EXPECT_THAT(probe.reason, HasSubstr("failed to set MSR 0x10a"));
  EXPECT_THAT(probe.reason, HasSubstr("before its first instruction"));
}

TEST(KvmProbe, AGuestThatHangsIsUnusableButMayBeTriedAgain) {
  const auto probe = probe_with([](const ProcessSpec& spec) -> Result<ProcessResult> {
    std::ofstream(after(spec, "-debugcon").substr(5)) << "rplcifsut";
    return fail(Code::kTimeout, "it ran for 3000 ms");
  });
  EXPECT_FALSE(probe.usable);
  EXPECT_FALSE(probe.lasting);
  EXPECT_THAT(probe.reason, HasSubstr("waiting for a timer interrupt"));
}

TEST(KvmProbe, TheFirmwareHasTheGuestAtItsStartAndAJumpAtTheResetVector) {
  std::string image;
  std::string path;
  probe_with([&](const ProcessSpec& spec) -> Result<ProcessResult> {
    path = after(spec, "-bios");
    std::ifstream file(path, std::ios::binary);
    image.assign(std::istreambuf_iterator<char>(file), {});
    return ProcessResult{.exit_status = 85};
  });
  ASSERT_EQ(image.size(), 65536U);
  EXPECT_EQ(image[0], '\xfa');  // cli
  EXPECT_EQ(image.substr(0xfff0, 5), std::string("\xea\x00\x00\x00\xf0", 5));
  EXPECT_FALSE(std::filesystem::exists(path)) << "the probe leaves nothing behind";
}

TEST(KvmProbe, WithoutTheDeviceNothingIsRun) {
  ScriptedProcessRunner runner;
  const auto probe = probe_kvm(runner, {.device = "/nonexistent/kvm"});
  ASSERT_TRUE(probe);
  EXPECT_FALSE(probe->usable);
  EXPECT_THAT(probe->reason, HasSubstr("/nonexistent/kvm"));
  EXPECT_TRUE(runner.calls().empty());
}

TEST(KvmProbe, NoQemuIsAnError) {
  ScriptedProcessRunner runner;
  runner.expect({"/usr/bin/qemu-system-x86_64", "..."},
                [](const ProcessSpec&) -> Result<ProcessResult> { return fail(Code::kNotFound, "no such program"); });
  EXPECT_EQ(probe_kvm(runner, without_device()).error().code, Code::kNotFound);
}

TEST(KvmProbe, TheCacheKeyFollowsTheQemuBinary) {
  const std::string one = testing::TempDir() + "/qemu-one";
  std::ofstream(one) << "1";
  const auto key = probe_cache_key({.qemu = one});
  EXPECT_FALSE(key.empty());
  EXPECT_EQ(probe_cache_key({.qemu = one}), key);
  std::ofstream(one) << "22";
  EXPECT_NE(probe_cache_key({.qemu = one}), key);
  EXPECT_EQ(probe_cache_key({.qemu = "/nonexistent/qemu"}), "");
}

}  // namespace
}  // namespace ca
