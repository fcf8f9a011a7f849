#include "drivers/process/posix/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace ca {
namespace {

constexpr int kFirstFreeFd = 3;

[[noreturn]] void give_up(int status_fd, ChildStep step, int errnum) noexcept {
  const ChildFailure failure{step, errnum};
  // Fits into a pipe's atomic write; if even that fails, the parent sees exit status 127.
  [[maybe_unused]] const ssize_t n = ::write(status_fd, &failure, sizeof failure);
  ::_exit(127);
}

// The parent may ignore or block signals (SIGPIPE, SIGTERM); both would be inherited through exec.
bool reset_signals() noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::sigaction(signal, &action, nullptr);  // EINVAL for libc's own ones
  }
  sigset_t none;
  ::sigemptyset(&none);
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

// Moves a descriptor above 0..2, so that the dup2 calls cannot overwrite one that is still needed.
bool lift(int& fd) noexcept {
  if (fd >= kFirstFreeFd) return true;
  fd = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstFreeFd);
  return fd >= 0;
}

bool set_stdio(ChildPlan& plan) noexcept {
  if (!lift(plan.stdin_fd) || !lift(plan.stdout_fd) || !lift(plan.stderr_fd) || !lift(plan.status_fd)) return false;
  if (::dup2(plan.stdin_fd, STDIN_FILENO) < 0 || ::dup2(plan.stdout_fd, STDOUT_FILENO) < 0 || ::dup2(plan.stderr_fd, STDERR_FILENO) < 0) {
    return false;
  }
  return ::close_range(kFirstFreeFd, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

bool limit(__rlimit_resource resource, rlim_t soft, rlim_t hard) noexcept {
  const rlimit value{soft, hard};
  return ::setrlimit(resource, &value) == 0;
}

bool set_limits(const ChildPlan& plan) noexcept {
  // The soft CPU limit is SIGXCPU, which says what happened; a second later the hard one is SIGKILL.
  return limit(RLIMIT_CORE, 0, 0) && (plan.cpu_seconds == 0 || limit(RLIMIT_CPU, plan.cpu_seconds, plan.cpu_seconds + 1)) &&
         (plan.file_bytes == 0 || limit(RLIMIT_FSIZE, plan.file_bytes, plan.file_bytes)) &&
         (plan.memory_bytes == 0 || limit(RLIMIT_AS, plan.memory_bytes, plan.memory_bytes));
}

}  // namespace

void run_child(const ChildPlan& original) noexcept {
  ChildPlan plan = original;
  const auto check = [&](bool done, ChildStep step) {
    if (!done) give_up(plan.status_fd, step, errno);
  };
  check(::setsid() >= 0, ChildStep::kSession);
  check(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, ChildStep::kDeathSignal);
  if (::getppid() != plan.parent) ::_exit(127);  // the parent died before the signal was set
  check(reset_signals(), ChildStep::kSignals);
  check(set_stdio(plan), ChildStep::kStdio);
  ::umask(077);
  check(::chdir("/") == 0, ChildStep::kDirectory);
  check(set_limits(plan), ChildStep::kLimits);
  ::execve(plan.program, plan.argv, plan.envp);
  give_up(plan.status_fd, ChildStep::kExec, errno);
}

const char* describe(ChildStep step) {
  switch (step) {
    case ChildStep::kSession: return "start a session";
    case ChildStep::kDeathSignal: return "set the parent death signal";
    case ChildStep::kSignals: return "reset signals";
    case ChildStep::kStdio: return "connect standard input and output";
    case ChildStep::kLimits: return "set resource limits";
    case ChildStep::kDirectory: return "change the directory";
    case ChildStep::kExec: return "execute the program";
  }
  return "start";
}

}  // namespace ca
