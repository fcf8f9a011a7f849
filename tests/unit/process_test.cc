#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "drivers/files/unique_fd.h"
#include "drivers/process/posix/posix_process_runner.h"
#include "drivers/process/scripted/scripted_process_runner.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace std::chrono_literals;
using testing::ScratchDir;

// Programs of our own making: what they do is what the test is about.
ProcessSpec script(const std::string& text) { return {.argv = {"/bin/sh", "-c", text}}; }

// Whether the process is gone or only a zombie that its parent has not reaped. Waits up to 10 s for the
// kernel to get there.
bool dead(pid_t pid) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  do {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    if (!std::getline(stat, text)) return true;
    if (text.find(") Z ") != std::string::npos) return true;
    std::this_thread::sleep_for(2ms);
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

class PosixRunner : public ::testing::Test {
 protected:
  Result<ProcessResult> run(const ProcessSpec& spec) { return runner_->run(spec); }
  std::unique_ptr<ProcessRunner> runner_ = make_posix_process_runner();
};

TEST_F(PosixRunner, ANonZeroExitStatusIsAValueAndStreamsAreApart) {
  const auto result = run(script("echo out; echo err >&2; exit 7"));
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_EQ(result->exit_status, 7);
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
}

TEST_F(PosixRunner, ArgumentsReachTheProgramUnchanged) {
  const auto result = run({.argv = {"/usr/bin/printf", "%s|", "a b", "$(id)", "'\"<&>", ""}});
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_EQ(result->out, "a b|$(id)|'\"<&>||");
}

TEST_F(PosixRunner, StandardInputIsWhatWasGivenOrEmpty) {
  const std::string text(300'000, 'x');  // more than a pipe holds
  auto result = run({.argv = {"/bin/cat"}, .stdin_text = text});
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_EQ(result->out, text);
  result = run({.argv = {"/bin/cat"}});
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_EQ(result->out, "");
}

TEST_F(PosixRunner, TheEnvironmentIsPathAndLocaleOnly) {
  ASSERT_EQ(::setenv("SECRET_OF_THE_PARENT", "1", 1), 0);
  const auto result = run({.argv = {"/usr/bin/env"}});
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_EQ(result->out, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\nMALLOC_ARENA_MAX=1\n");
}

TEST_F(PosixRunner, NoDescriptorOfTheParentIsInherited) {
  const UniqueFd leaky(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC, as a careless library opens it
  ASSERT_TRUE(leaky.valid());
  const auto result = run({.argv = {"/bin/ls", "/proc/self/fd"}});
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_EQ(result->out, "0\n1\n2\n3\n");  // 3 is the directory that ls reads
}

TEST_F(PosixRunner, TheProgramLeadsASessionOfItsOwnInTheRootDirectory) {
  const auto result = run(script("pwd; cut -d' ' -f5,6 /proc/$$/stat; echo $$ $$"));
  ASSERT_TRUE(result) << result.error().chain();
  const auto first = result->out.find('\n');
  const auto second = result->out.find('\n', first + 1);
  EXPECT_EQ(result->out.substr(0, first), "/");
  EXPECT_EQ(result->out.substr(first + 1, second - first - 1) + "\n", result->out.substr(second + 1));
}

TEST_F(PosixRunner, SignalsIgnoredByTheParentAreDefaultInTheProgram) {
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const auto result = run(script("kill -PIPE $$; echo survived"));
  ::signal(SIGPIPE, before);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kExternal);
  EXPECT_NE(result.error().message.find("SIGPIPE"), std::string::npos) << result.error().message;
}

TEST_F(PosixRunner, TheWholeGroupIsKilledAtTheWallLimit) {
  const ScratchDir dir;
  ProcessSpec spec = script("sleep 600 & echo $! > " + (dir / "pid") + "; wait");
  spec.wall_limit = 500ms;
  const auto before = std::chrono::steady_clock::now();
  const auto result = run(spec);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kTimeout);
  EXPECT_NE(result.error().message.find("500 ms"), std::string::npos);
  EXPECT_TRUE(dead(std::stoi(testing::read_text(dir / "pid"))));
}

TEST_F(PosixRunner, WhatAProgramLeavesBehindIsKilledAndDoesNotHoldUpTheResult) {
  const auto before = std::chrono::steady_clock::now();
  const auto result = run(script("sleep 600 & echo $!"));  // sleep holds the pipes open
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_TRUE(dead(std::stoi(result->out)));
}

TEST_F(PosixRunner, TheProgramDiesWithItsParent) {
  const ScratchDir dir;
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    (void)make_posix_process_runner()->run(
        script("echo $$ > " + (dir / "part") + "; mv " + (dir / "part") + " " + (dir / "pid") + "; sleep 600"));
    ::_exit(0);
  }
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!std::filesystem::exists(dir / "pid") && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(2ms);
  ::kill(parent, SIGKILL);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  EXPECT_TRUE(dead(std::stoi(testing::read_text(dir / "pid"))));
}

TEST_F(PosixRunner, CpuTimeIsBounded) {
  ProcessSpec spec = script("while :; do :; done");
  spec.cpu_seconds = 1;
  const auto result = run(spec);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kTimeout);
  EXPECT_NE(result.error().message.find("1 s of CPU time"), std::string::npos) << result.error().message;
}

TEST_F(PosixRunner, MemoryIsBounded) {
  ProcessSpec spec{.argv = {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=500M", "count=1"}};  // one buffer
  spec.memory_bytes = 64 << 20;
  const auto result = run(spec);
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_EQ(result->exit_status, 1);
  EXPECT_NE(result->err.find("memory exhausted"), std::string::npos) << result->err;
}

TEST_F(PosixRunner, FilesAreBounded) {
  const ScratchDir dir;
  ProcessSpec spec{.argv = {"/bin/dd", "if=/dev/zero", "of=" + (dir / "file"), "bs=64k", "count=64"}};
  spec.file_bytes = 1 << 20;
  const auto result = run(spec);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kTooLarge);
  EXPECT_NE(result.error().message.find("1048576 bytes"), std::string::npos) << result.error().message;
  EXPECT_EQ(std::filesystem::file_size(dir / "file"), 1U << 20);
}

TEST_F(PosixRunner, OutputIsBounded) {
  ProcessSpec spec{.argv = {"/usr/bin/yes"}};
  spec.output_bytes = 100'000;
  const auto result = run(spec);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kTooLarge);
  spec = script("yes >&2");
  spec.output_bytes = 100'000;
  const auto errors = run(spec);
  ASSERT_FALSE(errors);
  EXPECT_NE(errors.error().message.find("standard error"), std::string::npos) << errors.error().message;
}

TEST_F(PosixRunner, OutputOfExactlyTheBoundIsTaken) {
  ProcessSpec spec{.argv = {"/usr/bin/head", "-c", "100000", "/dev/zero"}};
  spec.output_bytes = 100'000;
  const auto result = run(spec);
  ASSERT_TRUE(result) << result.error().chain();
  EXPECT_EQ(result->out.size(), 100'000U);
}

TEST_F(PosixRunner, AMissingProgramIsNotFound) {
  const auto result = run({.argv = {"/usr/bin/no-such-program"}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kNotFound);
  EXPECT_NE(result.error().message.find("/usr/bin/no-such-program"), std::string::npos);
}

TEST_F(PosixRunner, AFileThatIsNoProgramSaysWhy) {
  const ScratchDir dir;
  testing::write_text(dir / "file", "text");
  const auto result = run({.argv = {dir / "file"}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kExternal);
  EXPECT_NE(result.error().message.find("Permission denied"), std::string::npos) << result.error().message;
}

TEST_F(PosixRunner, RelativeNamesAndNulCharactersAreRefused) {
  for (const auto& argv : std::vector<std::vector<std::string>>{{}, {"ls"}, {"/bin/ls", std::string("a\0b", 3)}}) {
    const auto result = run({.argv = argv});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kInvalid);
  }
}

TEST_F(PosixRunner, ACrashNamesTheSignalAndTheLastWords) {
  const auto result = run(script("echo about to fall >&2; kill -SEGV $$"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kExternal);
  EXPECT_NE(result.error().message.find("SIGSEGV"), std::string::npos) << result.error().message;
  EXPECT_NE(result.error().message.find("about to fall"), std::string::npos) << result.error().message;
}

TEST_F(PosixRunner, ManyThreadsRunProgramsSideBySide) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string text = std::to_string(t) + "/" + std::to_string(i);
        const auto result = run({.argv = {"/bin/cat"}, .stdin_text = text});
        if (result && result->out == text) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 80);
}

TEST(ScriptedRunner, AnswersInOrderAndRefusesWhatWasNotExpected) {
  ScriptedProcessRunner runner;
  runner.expect({"*/qemu-img", "convert", "..."}, ProcessResult{.exit_status = 3});
  runner.expect({"/bin/true"}, [](const ProcessSpec&) { return fail(Code::kTimeout, "too slow"); });

  const auto wrong = runner.run({.argv = {"/usr/bin/qemu-img", "info"}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kInternal);
  EXPECT_NE(wrong.error().message.find("qemu-img info"), std::string::npos);

  const auto first = runner.run({.argv = {"/usr/bin/qemu-img", "convert", "-O", "raw"}});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->exit_status, 3);
  EXPECT_EQ(runner.left(), 1U);
  const auto second = runner.run({.argv = {"/bin/true"}});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kTimeout);
  EXPECT_FALSE(runner.run({.argv = {"/bin/true"}}));
  EXPECT_EQ(runner.calls().size(), 4U);
}

}  // namespace
}  // namespace ca
