#include "drivers/disk/rbd/cluster.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <system_error>
#include <utility>
#include <vector>

namespace ca::rbd {
namespace {

constexpr const char* kLookAtCeph = "see that the cluster answers (ceph -s) and that this host reaches it; the agent tries again by itself";

struct FreeRados {
  void operator()(void* cluster) const { rados_shutdown(cluster); }
};

// What an asynchronous open or close leaves its answer in. Shared by librbd's thread and the one that waits, which may give up first.
struct Answer {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  bool abandoned = false;
  rbd_image_t image = nullptr;  // of an open
};

struct Handed {
  std::shared_ptr<Answer> answer;
  bool opening;
};

void on_answer(rbd_completion_t completion, void* arg) {
  const std::unique_ptr<Handed> handed(static_cast<Handed*>(arg));
  Answer& answer = *handed->answer;
  const bool opened = handed->opening && rbd_aio_get_return_value(completion) >= 0;
  {
    const std::lock_guard lock(answer.mutex);
    answer.done = true;
    answer.changed.notify_all();
    if (!answer.abandoned) return;
  }
  rbd_aio_release(completion);
  if (!opened) return;
  // Nobody waits for this image any more. It must not stay open: its watcher would keep others away.
  auto closing = std::make_unique<Handed>(Handed{handed->answer, false});
  rbd_completion_t closed = nullptr;
  if (rbd_aio_create_completion(closing.get(), on_answer, &closed) >= 0 && rbd_aio_close(answer.image, closed) >= 0)
    static_cast<void>(closing.release());
}

template <typename Start>
int bounded(const PoolRef& pool, const std::shared_ptr<Answer>& answer, bool opening, const Start& start) {
  auto handed = std::make_unique<Handed>(Handed{answer, opening});
  rbd_completion_t completion = nullptr;
  if (const int made = rbd_aio_create_completion(handed.get(), on_answer, &completion); made < 0) return made;
  if (const int started = start(completion); started < 0) {
    rbd_aio_release(completion);
    return started;
  }
  static_cast<void>(handed.release());
  {
    std::unique_lock lock(answer->mutex);
    if (!answer->changed.wait_for(lock, kCallTimeout, [&] { return answer->done; })) {
      answer->abandoned = true;
      // What an abandoned call may still use is never closed.
      static_cast<void>(new PoolRef(pool));
      return -ETIMEDOUT;
    }
  }
  // librbd's thread is done with the completion then, and with what it belongs to.
  rbd_aio_wait_for_complete(completion);
  const auto status = static_cast<int>(rbd_aio_get_return_value(completion));
  rbd_aio_release(completion);
  return status;
}

Code code_of(int error) {
  switch (error) {
    case ENOENT: return Code::kNotFound;
    case EEXIST:
    case EBUSY:
    case EROFS:
    case ENOTEMPTY: return Code::kConflict;
    case ENOSPC:
    case EDQUOT: return Code::kNoSpace;
    case EACCES:
    case EPERM: return Code::kForbidden;
    case EINVAL: return Code::kInvalid;
    case ETIMEDOUT:
    case ESHUTDOWN:
    case ENOTCONN:
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EAGAIN: return Code::kUnavailable;
    default: return Code::kIo;
  }
}

}  // namespace

tl::unexpected<Error> fail_rbd(int status, const std::string& what) {
  const int error = -status;
  const Code code = code_of(error);
  std::string reason = std::generic_category().message(error);
  if (error == ETIMEDOUT) reason = "Ceph did not answer in time";
  if (error == ESHUTDOWN) reason = "this client is on the cluster's blocklist";
  std::string action;
  if (code == Code::kUnavailable) action = kLookAtCeph;
  if (code == Code::kForbidden) action = "give the Ceph user the capabilities that the README names (ceph auth caps)";
  if (code == Code::kNoSpace) action = "free space in the pool, or raise its quota, then try again";
  return fail(code, what + ": " + reason, std::move(action));
}

// --- Connection

Result<rados_t> Connection::configured() const {
  rados_t handle = nullptr;
  const std::string name = options_.user.empty() ? "client.admin" : "client." + options_.user;
  CA_TRY_VOID(check_rbd(rados_create2(&handle, "ceph", name.c_str(), 0), "librados can't be started"));
  std::unique_ptr<void, FreeRados> cluster(handle);
  const char* file = options_.ceph_conf.empty() ? nullptr : options_.ceph_conf.c_str();
  if (const int status = rados_conf_read_file(handle, file); status < 0) {
    return fail(Code::kUnavailable, fmt::format("{} can't be read: {}", conf_name(), std::generic_category().message(-status)),
                "set [libvirt] images_rbd_ceph_conf to a file that the agent may read");
  }
  const std::string op = std::to_string(kOpTimeout.count());
  const std::string connect = std::to_string(options_.connect_timeout.count());
  for (const auto& [option, value] : {std::pair{"rados_osd_op_timeout", op},
                                      {"rados_mon_op_timeout", op},
                                      {"client_mount_timeout", connect},
                                      {"rbd_blocklist_on_break_lock", "true"}}) {
    CA_TRY_VOID(check_rbd(rados_conf_set(handle, option, value.c_str()), fmt::format("Ceph does not take {} = {}", option, value)));
  }
  return cluster.release();
}

Result<std::shared_ptr<Cluster>> Connection::connect() const {
  CA_TRY(rados_t handle, configured());
  auto cluster = std::make_shared<Cluster>(handle);
  if (const int status = rados_connect(handle); status < 0) {
    Error error = fail_rbd(status, fmt::format("the Ceph cluster of {} can't be reached as client.{}", conf_name(), options_.user)).value();
    // A missing keyring or a refused key may be mended while we wait; no disk is gone for it.
    if (error.code == Code::kNotFound) error.next_action = "put the user's keyring where ceph.conf names it, readable for the agent";
    if (error.code == Code::kForbidden) error.next_action = "see that the keyring holds the user's present key (ceph auth get)";
    error.code = Code::kUnavailable;
    return tl::unexpected<Error>(std::move(error));
  }
  return cluster;
}

Result<std::shared_ptr<Cluster>> Connection::cluster() {
  const auto known = [this] {
    const std::lock_guard lock(mutex_);
    return cluster_;
  };
  if (auto cluster = known()) return cluster;
  const std::unique_lock attempt(connecting_, options_.connect_timeout + std::chrono::seconds(5));
  if (!attempt.owns_lock())
    return fail(Code::kUnavailable, "the Ceph cluster does not answer: an attempt to connect still runs", kLookAtCeph);
  if (auto cluster = known()) return cluster;
  CA_TRY(auto cluster, connect());
  const std::lock_guard lock(mutex_);
  cluster_ = cluster;
  return cluster;
}

void Connection::drop() {
  std::shared_ptr<Cluster> last;  // closed outside of the lock, or by the last call that still uses it
  const std::lock_guard lock(mutex_);
  last.swap(cluster_);
}

Result<std::string> Connection::setting(const std::string& name) const {
  CA_TRY(rados_t handle, configured());
  const std::unique_ptr<void, FreeRados> cluster(handle);
  std::array<char, 4096> text{};
  CA_TRY_VOID(check_rbd(rados_conf_get(handle, name.c_str(), text.data(), text.size()), "Ceph does not tell " + name));
  return std::string(text.data());
}

Result<std::string> Connection::fsid() {
  CA_TRY(const auto cluster, this->cluster());
  std::array<char, 64> text{};
  CA_TRY_VOID(check_rbd(rados_cluster_fsid(cluster->handle(), text.data(), text.size()), "the cluster's fsid can't be read"));
  return std::string(text.data());
}

Result<std::string> Connection::command(const std::string& json) {
  CA_TRY(const auto cluster, this->cluster());
  const char* words[] = {json.c_str()};
  char* out = nullptr;
  char* said = nullptr;
  std::size_t out_size = 0, said_size = 0;
  const int status = rados_mon_command(cluster->handle(), words, 1, "", 0, &out, &out_size, &said, &said_size);
  const std::string text(out == nullptr ? "" : out, out == nullptr ? 0 : out_size);
  rados_buffer_free(out);
  rados_buffer_free(said);
  CA_TRY_VOID(check_rbd(status, "the monitors refuse " + json));
  return text;
}

// --- Pool, Image

Result<PoolRef> Pool::open(Connection& connection, const std::string& name) {
  CA_TRY(auto cluster, connection.cluster());
  rados_ioctx_t io = nullptr;
  if (const int status = rados_ioctx_create(cluster->handle(), name.c_str(), &io); status < 0) {
    if (status == -ESHUTDOWN) connection.drop();
    if (status != -ENOENT) return fail_rbd(status, "the Ceph pool " + name + " can't be opened");
    // A pool that is gone must never make its disks look gone.
    return fail(Code::kUnavailable, "the Ceph cluster has no pool '" + name + "'",
                "make it (ceph osd pool create), or correct the option that names it");
  }
  return std::make_shared<Pool>(std::move(cluster), io, name);
}

Result<Image> Image::open(const PoolRef& pool, const std::string& name, Mode mode, const char* snapshot) {
  const auto answer = std::make_shared<Answer>();
  const int status = bounded(pool, answer, true, [&](rbd_completion_t completion) {
    return mode == Mode::kRead ? rbd_aio_open_read_only(pool->io(), name.c_str(), &answer->image, snapshot, completion)
                               : rbd_aio_open(pool->io(), name.c_str(), &answer->image, snapshot, completion);
  });
  CA_TRY_VOID(check_rbd(status, fmt::format("cannot open RBD image {}/{}", pool->name(), name)));
  return Image(pool, answer->image);
}

Image::Image(Image&& other) noexcept : pool_(std::move(other.pool_)), image_(std::exchange(other.image_, nullptr)) {}

Image::~Image() {
  if (image_ == nullptr) return;
  const auto answer = std::make_shared<Answer>();
  [[maybe_unused]] const int status =
      bounded(pool_, answer, false, [&](rbd_completion_t completion) { return rbd_aio_close(image_, completion); });
}

}  // namespace ca::rbd
