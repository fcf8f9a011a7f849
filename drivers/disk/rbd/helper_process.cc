#include "drivers/disk/rbd/helper_process.h"

#include <fmt/format.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <system_error>

namespace ca::rbd {
namespace {

constexpr int kGreetingMs = 20'000;
constexpr const char* kHelperGone = "the helper that speaks with Ceph ended";

struct Spawn {
  Spawn() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~Spawn() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
};

// With the socket as standard input, our standard error, no other descriptor, no blocked signal and a closed environment.
Result<pid_t> spawn(const std::string& program, int socket) {
  Spawn spawn;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&spawn.attributes, &none);
  posix_spawnattr_setsigdefault(&spawn.attributes, &all);
  posix_spawnattr_setflags(&spawn.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  posix_spawn_file_actions_adddup2(&spawn.files, socket, 0);
  posix_spawn_file_actions_addopen(&spawn.files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&spawn.files, 3);
  std::string name = program;
  std::array<char*, 2> argv{name.data(), nullptr};
  std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  std::array<char*, 2> env{path.data(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &spawn.files, &spawn.attributes, argv.data(), env.data());
  if (error == 0) return pid;
  return fail(Code::kUnavailable, fmt::format("{} can't be started: {}", program, std::generic_category().message(error)),
              "install the agent's part for Ceph with librbd1 and librados2, see that [agent] helper_path names its folder, or set another "
              "images_type");
}

}  // namespace

Result<std::shared_ptr<HelperProcess>> HelperProcess::start(const std::string& program, const RbdOptions& options) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return fail_errno(errno, "no socket for " + program);
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  const timeval limit{.tv_sec = 30, .tv_usec = 0};
  ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  CA_TRY(const pid_t pid, spawn(program, theirs.get()));
  auto process = std::make_shared<HelperProcess>(std::move(ours), pid);
  CA_TRY_VOID(process->greet(options));
  process->reader_thread_ = std::thread([self = process.get()] { self->read_answers(); });
  return process;
}

HelperProcess::HelperProcess(UniqueFd socket, pid_t pid) : socket_(std::move(socket)), pid_(pid), reader_(socket_.get()) {}

HelperProcess::~HelperProcess() {
  ::shutdown(socket_.get(), SHUT_RDWR);  // its end of file, and our reader's
  ::kill(pid_, SIGKILL);
  if (reader_thread_.joinable()) reader_thread_.join();
  ::waitpid(pid_, nullptr, 0);
}

Result<void> HelperProcess::greet(const RbdOptions& options) {
  const auto lost = [](const std::string& why) {
    return fail(Code::kUnavailable, "the helper that speaks with Ceph does not start: " + why, "look at the agent's log for what it said");
  };
  if (!write_line(socket_.get(), to_json(options))) return lost("it takes no options");
  pollfd ready{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, kGreetingMs) <= 0) return lost("it did not answer in time");
  std::string line;
  if (!reader_.next(line)) return lost("it ended at once");
  const Json greeting = Json::parse(line, nullptr, false);
  const std::string version = greeting.is_object() ? greeting.value("version", "") : "";
  if (version == COMPUTE_AGENT_VERSION) return {};
  return fail(Code::kInvalid, fmt::format("{} is of version '{:.40}', this agent of {}", kRbdHelper, version, COMPUTE_AGENT_VERSION),
              "install both from one build");
}

void HelperProcess::read_answers() {
  std::string line;
  while (reader_.next(line)) {
    const Json reply = Json::parse(line, nullptr, false);
    if (!reply.is_object() || !reply.contains("id") || !reply["id"].is_number_unsigned()) break;
    Result<Json> outcome = Json(nullptr);
    try {
      outcome =
          reply.contains("error") ? Result<Json>(tl::unexpected<Error>(error_from(reply["error"]))) : Result<Json>(reply.at("result"));
    } catch (const Json::exception& e) {
      outcome = fail(Code::kInternal, fmt::format("{} answers nonsense: {}", kRbdHelper, e.what()));
    }
    const std::lock_guard lock(mutex_);
    const auto entry = waiting_.find(reply["id"].get<std::uint64_t>());
    if (entry == waiting_.end()) continue;  // nobody waits for it any more
    entry->second.set_value(std::move(outcome));
    waiting_.erase(entry);
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  for (auto& [id, promise] : waiting_)
    promise.set_value(fail(Code::kUnavailable, kHelperGone, "it is started again for the next call; look at the agent's log for why"));
  waiting_.clear();
}

bool HelperProcess::ended() {
  const std::lock_guard lock(mutex_);
  return ended_;
}

Result<Json> HelperProcess::call(const std::string& name, Json args, std::chrono::seconds limit) {
  std::future<Result<Json>> answer;
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return fail(Code::kUnavailable, kHelperGone);
    id = next_id_++;
    answer = waiting_[id].get_future();
  }
  {
    const std::lock_guard lock(writing_);
    if (!write_line(socket_.get(), {{"id", id}, {"call", name}, {"args", std::move(args)}})) ::shutdown(socket_.get(), SHUT_RDWR);
  }
  if (answer.wait_for(limit) == std::future_status::ready) return answer.get();
  const std::lock_guard lock(mutex_);
  if (waiting_.erase(id) == 0) return answer.get();  // it came in the last moment
  return fail(Code::kUnavailable, fmt::format("Ceph did not end the call {} within {} s", name, limit.count()),
              "see that the cluster answers (ceph -s) and that this host reaches it; the agent tries again by itself");
}

Result<std::shared_ptr<HelperProcess>> Helper::process() {
  const std::lock_guard lock(starting_);
  if (process_ && !process_->ended()) return process_;
  process_.reset();
  CA_TRY(process_, HelperProcess::start(program_, options_));
  return process_;
}

Result<Json> Helper::call(const std::string& name, Json args, std::chrono::seconds limit) {
  CA_TRY(const auto current, process());
  return current->call(name, std::move(args), limit);
}

}  // namespace ca::rbd
