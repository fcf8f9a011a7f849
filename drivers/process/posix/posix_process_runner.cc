#include "drivers/process/posix/posix_process_runner.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "drivers/files/durable_file.h"
#include "drivers/files/unique_fd.h"
#include "drivers/process/posix/child.h"

namespace ca {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct Pipe {
  UniqueFd read_end, write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
  Pipe made{UniqueFd(ends[0]), UniqueFd(ends[1])};
  // Only our end: the program expects blocking writes.
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "cannot set up a pipe");
  return made;
}

// Input in memory rather than a pipe: it needs no writing while the program runs, and no SIGPIPE can come of
// it.
Result<UniqueFd> make_stdin(const std::string& text) {
  if (text.empty()) {
    UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!null.valid()) return fail_errno(errno, "cannot open /dev/null");
    return null;
  }
  UniqueFd memory(::memfd_create("stdin", MFD_CLOEXEC));
  if (!memory.valid()) return fail_errno(errno, "cannot make a memory file for standard input");
  CA_TRY_VOID(write_all(memory.get(), 0, std::as_bytes(std::span(text)), "standard input"));
  return memory;
}

// One output stream that is being collected.
struct Stream {
  UniqueFd fd;
  std::string text;
  std::size_t bound = 0;
  bool over = false;  // more than bound came

  // Takes what is there. At the end of the stream the descriptor is closed.
  void drain() {
    std::array<char, 16384> buffer;
    while (fd.valid()) {
      const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) {
        fd.reset();
        return;
      }
      const auto got = static_cast<std::size_t>(n);
      const std::size_t room = bound - text.size();
      text.append(buffer.data(), std::min(got, room));
      if (got > room) {
        over = true;
        return;
      }
    }
  }
};

// The running child. Whatever happens, its group is killed and it is reaped.
class Child {
 public:
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) finish();
  }

  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

  // Kills what is left of the group, then reaps. The group id cannot be reused before: the unreaped child
  // holds it.
  int finish() {
    ::kill(-pid_, SIGKILL);
    if (pidfd_.valid()) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);  // when it has no group yet
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_;
  UniqueFd pidfd_;
};

// The last words of a program, short enough for an error message.
std::string tail(const std::string& text) {
  constexpr std::size_t kLongest = 400;
  return text.size() <= kLongest ? text : "..." + text.substr(text.size() - kLongest);
}

enum class End { kExited, kTimedOut, kTooMuchOutput };

class Run {
 public:
  explicit Run(const ProcessSpec& spec) : spec_(spec), deadline_(SteadyClock::now() + spec.wall_limit) {}

  Result<ProcessResult> run();

 private:
  Result<pid_t> start();
  Result<End> watch(const Child& child);
  Result<void> check_started();
  Result<ProcessResult> judge(End end, int status);
  [[nodiscard]] const std::string& program() const { return spec_.argv.front(); }

  const ProcessSpec& spec_;
  SteadyClock::time_point deadline_;
  Stream out_, err_;
  UniqueFd status_;
};

Result<pid_t> Run::start() {
  CA_TRY(const UniqueFd input, make_stdin(spec_.stdin_text));
  CA_TRY(Pipe out, make_pipe());
  CA_TRY(Pipe err, make_pipe());
  CA_TRY(Pipe status, make_pipe());

  std::vector<char*> argv;
  for (const auto& argument : spec_.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  std::string locale = "LC_ALL=C";
  // glibc reserves 64 MiB of address space for the heap of each thread; a program of many threads, as qemu-img, would run into the
  // limit of its memory without having used any.
  std::string arenas = "MALLOC_ARENA_MAX=1";
  const std::array<char*, 4> environment{path.data(), locale.data(), arenas.data(), nullptr};
  const ChildPlan plan{.program = program().c_str(),
                       .argv = argv.data(),
                       .envp = environment.data(),
                       .stdin_fd = input.get(),
                       .stdout_fd = out.write_end.get(),
                       .stderr_fd = err.write_end.get(),
                       .status_fd = status.write_end.get(),
                       .parent = ::getpid(),
                       .cpu_seconds = static_cast<rlim_t>(spec_.cpu_seconds),
                       .memory_bytes = static_cast<rlim_t>(spec_.memory_bytes),
                       .file_bytes = static_cast<rlim_t>(spec_.file_bytes)};
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "cannot fork for " + program());
  if (pid == 0) run_child(plan);
  out_ = {.fd = std::move(out.read_end), .text = {}, .bound = spec_.output_bytes};
  err_ = {.fd = std::move(err.read_end), .text = {}, .bound = spec_.output_bytes};
  status_ = std::move(status.read_end);
  return pid;
}

Result<End> Run::watch(const Child& child) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - SteadyClock::now()).count();
    if (left <= 0) return End::kTimedOut;
    // poll ignores negative descriptors: a closed stream.
    std::array<pollfd, 3> fds{{{child.pidfd(), POLLIN, 0}, {out_.fd.get(), POLLIN, 0}, {err_.fd.get(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000))) < 0 && errno != EINTR) {
      return fail_errno(errno, "cannot wait for " + program());
    }
    // Order matters: when the program has ended, all it wrote is in the pipes and is drained below.
    const bool ended = (fds[0].revents & POLLIN) != 0;
    out_.drain();
    err_.drain();
    if (out_.over || err_.over) return End::kTooMuchOutput;
    if (ended) return End::kExited;
  }
}

Result<void> Run::check_started() {
  ChildFailure failure{};
  ssize_t n = 0;
  do {
    n = ::read(status_.get(), &failure, sizeof failure);
  } while (n < 0 && errno == EINTR);
  if (n != sizeof failure) return {};
  if (failure.step == ChildStep::kExec && (failure.errnum == ENOENT || failure.errnum == ENOTDIR)) {
    return fail(Code::kNotFound, "there is no program " + program(), "install it, or set the option that names it");
  }
  return fail(Code::kExternal,
              fmt::format("cannot start {}: cannot {}: {}", program(), describe(failure.step), ::strerrordesc_np(failure.errnum)));
}

Result<ProcessResult> Run::judge(End end, int status) {
  if (end == End::kTimedOut) {
    return fail(Code::kTimeout, fmt::format("{} was ended: it ran longer than {} ms", program(), spec_.wall_limit.count()));
  }
  if (end == End::kTooMuchOutput) {
    return fail(Code::kTooLarge, fmt::format("{} was ended: it wrote more than {} bytes to standard {}", program(), spec_.output_bytes,
                                             out_.over ? "output" : "error"));
  }
  CA_TRY_VOID(check_started());
  if (WIFEXITED(status)) {
    return ProcessResult{.exit_status = WEXITSTATUS(status), .out = std::move(out_.text), .err = std::move(err_.text)};
  }
  const int signal = WTERMSIG(status);
  switch (signal) {
    case SIGXCPU:
      return fail(Code::kTimeout, fmt::format("{} was ended: it used more than {} s of CPU time", program(), spec_.cpu_seconds));
    case SIGXFSZ:
      return fail(Code::kTooLarge, fmt::format("{} was ended: it wrote a file larger than {} bytes", program(), spec_.file_bytes));
    default:
      return fail(Code::kExternal, fmt::format("{} was killed by signal {} (SIG{}); standard error: {}", program(), signal,
                                               ::sigabbrev_np(signal) != nullptr ? ::sigabbrev_np(signal) : "?", tail(err_.text)));
  }
}

Result<ProcessResult> Run::run() {
  CA_TRY(const pid_t pid, start());
  // By number: glibc 2.36 declares pidfd_open without C linkage.
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int pidfd_error = errno;
  Child child(pid, std::move(pidfd));
  if (child.pidfd() < 0) return fail_errno(pidfd_error, "cannot watch " + program());
  CA_TRY(const End end, watch(child));
  return judge(end, child.finish());
}

class PosixProcessRunner final : public ProcessRunner {
 public:
  Result<ProcessResult> run(const ProcessSpec& spec) override {
    CA_TRY_VOID(check(spec));
    return Run(spec).run();
  }

 private:
  static Result<void> check(const ProcessSpec& spec) {
    if (spec.argv.empty() || !spec.argv.front().starts_with('/')) {
      return fail(Code::kInvalid, "a program is named by its absolute path");
    }
    for (const auto& argument : spec.argv) {
      if (argument.find('\0') != std::string::npos) {
        return fail(Code::kInvalid, "an argument of " + spec.argv.front() + " has a NUL character");
      }
    }
    if (spec.cpu_seconds < 0 || spec.memory_bytes < 0 || spec.file_bytes < 0) {
      return fail(Code::kInvalid, "a limit of " + spec.argv.front() + " is negative");
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<ProcessRunner> make_posix_process_runner() { return std::make_unique<PosixProcessRunner>(); }

}  // namespace ca
