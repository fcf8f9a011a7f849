#pragma once
// The connection to a Ceph cluster, and RAII for librados' and librbd's handles. Every call is bounded: those that talk to monitors and
// OSDs by librados' own timeouts, opening and closing of images by ours as well.

#include <rados/librados.h>
#include <rbd/librbd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "agent/core/error.h"

namespace ca::rbd {

inline constexpr std::chrono::seconds kOpTimeout{30};    // of one operation of a monitor or an OSD
inline constexpr std::chrono::seconds kCallTimeout{75};  // of a call that is made of some operations

// A fenced client stays out for a week: longer than a cut-off host is left alone.
inline constexpr std::uint32_t kBlocklistSeconds = 7 * 24 * 3600;

// An error of librados or librbd (a negative errno). Storage that does not answer is kUnavailable.
[[nodiscard]] tl::unexpected<Error> fail_rbd(int status, const std::string& what);
[[nodiscard]] inline Result<void> check_rbd(int status, const std::string& what) {
  if (status >= 0) return {};
  return fail_rbd(status, what);
}

struct ConnectionOptions {
  std::string ceph_conf;
  std::string user;
  std::chrono::seconds connect_timeout{5};
};

class Cluster {
 public:
  explicit Cluster(rados_t handle) : handle_(handle) {}
  ~Cluster() { rados_shutdown(handle_); }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  [[nodiscard]] rados_t handle() const { return handle_; }

 private:
  rados_t handle_;
};

class Connection {
 public:
  explicit Connection(ConnectionOptions options) : options_(std::move(options)) {}

  // Connects when it is not connected yet. kUnavailable with the reason.
  Result<std::shared_ptr<Cluster>> cluster();
  // The next call connects anew: this client is blocklisted.
  void drop();
  // A setting as ceph.conf and the defaults have it; asks nobody.
  Result<std::string> setting(const std::string& name) const;
  [[nodiscard]] const std::string& user() const { return options_.user; }
  [[nodiscard]] std::string conf_name() const { return options_.ceph_conf.empty() ? "Ceph's default configuration" : options_.ceph_conf; }

  Result<std::string> fsid();
  // The answer to a monitor's command.
  Result<std::string> command(const std::string& json);

 private:
  Result<rados_t> configured() const;
  Result<std::shared_ptr<Cluster>> connect() const;

  ConnectionOptions options_;
  std::timed_mutex connecting_;  // one attempt at a time
  std::mutex mutex_;             // guards cluster_
  std::shared_ptr<Cluster> cluster_;
};

class Pool {
 public:
  static Result<std::shared_ptr<Pool>> open(Connection& connection, const std::string& name);
  Pool(std::shared_ptr<Cluster> cluster, rados_ioctx_t io, std::string name)
      : cluster_(std::move(cluster)), io_(io), name_(std::move(name)) {}
  ~Pool() { rados_ioctx_destroy(io_); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  [[nodiscard]] rados_ioctx_t io() const { return io_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Cluster& cluster() const { return *cluster_; }

 private:
  std::shared_ptr<Cluster> cluster_;
  rados_ioctx_t io_;
  std::string name_;
};
using PoolRef = std::shared_ptr<Pool>;

class Image {
 public:
  enum class Mode { kRead, kWrite };  // kRead leaves no watcher
  // kNotFound when there is no such image, or it has no such snapshot.
  static Result<Image> open(const PoolRef& pool, const std::string& name, Mode mode, const char* snapshot = nullptr);
  Image(PoolRef pool, rbd_image_t image) : pool_(std::move(pool)), image_(image) {}
  Image(Image&& other) noexcept;
  Image& operator=(Image&&) = delete;
  ~Image();
  [[nodiscard]] rbd_image_t get() const { return image_; }

 private:
  PoolRef pool_;
  rbd_image_t image_;
};

}  // namespace ca::rbd
