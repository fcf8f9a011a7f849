#pragma once
// The connection to libvirtd: opened in the background, watched by keepalive, opened again when lost.

#include <libvirt/libvirt.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/hypervisor.h"
#include "drivers/hypervisor/libvirt/event_loop.h"
#include "drivers/hypervisor/libvirt/libvirt_hypervisor.h"

namespace ca {

namespace lv {

// One open connection with its callbacks. Whoever holds a reference may use it; the last one closes it.
class Session {
 public:
  Session(virConnectPtr conn, std::uint64_t id) : conn_(conn), id_(id) {}
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] virConnectPtr conn() const { return conn_; }
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] bool closed() const { return *closed_; }
  // Keepalive, close callback and domain events, all of them leading to `connection`.
  Result<void> watch(const std::weak_ptr<LibvirtConnection>& connection, const LibvirtOptions& options);

  // The thread's last libvirt error beneath `what`. A connection that died meanwhile makes it kUnavailable.
  [[nodiscard]] tl::unexpected<Error> failed(const std::string& what) const;

 private:
  virConnectPtr conn_;
  std::uint64_t id_;
  std::shared_ptr<std::atomic<bool>> closed_ = std::make_shared<std::atomic<bool>>(false);  // shared with the callbacks
  bool close_callback_ = false;
  std::vector<int> event_ids_;
};

using SessionRef = std::shared_ptr<Session>;

}  // namespace lv

class LibvirtConnection : public std::enable_shared_from_this<LibvirtConnection> {
 public:
  explicit LibvirtConnection(LibvirtOptions options) : options_(std::move(options)) {}
  ~LibvirtConnection() { stop(); }
  LibvirtConnection(const LibvirtConnection&) = delete;
  LibvirtConnection& operator=(const LibvirtConnection&) = delete;

  void start(HypervisorListener& listener);
  // No listener call after it returns.
  void stop();
  [[nodiscard]] bool connected() const;
  // The open connection, or kUnavailable at once with the reason of the last failure.
  [[nodiscard]] Result<lv::SessionRef> session() const;
  [[nodiscard]] const LibvirtOptions& options() const { return options_; }

  // From libvirt's callbacks, on the event thread.
  void deliver(std::uint64_t session_id, const DomainEvent& event);
  void on_closed(std::uint64_t session_id, const std::string& reason);

 private:
  void connect_in_background(std::uint64_t epoch);
  void keep_connecting(std::uint64_t epoch);
  Result<lv::SessionRef> open_once();
  bool wait_before_next_try(std::uint64_t epoch);
  void adopt(const lv::SessionRef& session, std::uint64_t epoch);
  void report_down(const std::string& reason, std::uint64_t epoch);

  const LibvirtOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  HypervisorListener* listener_ = nullptr;  // set while started
  std::uint64_t epoch_ = 0;                 // grows at start and stop; what belongs to an older one ends itself
  int connectors_ = 0;                      // connect threads alive; more than one only after a stop while one hangs
  bool told_down_ = false;
  unsigned failures_ = 0;  // since the last connection that lasted
  std::string last_failure_;
  std::chrono::steady_clock::time_point attempt_began_{};
  std::chrono::steady_clock::time_point up_since_{};
  std::uint64_t next_session_id_ = 1;
  lv::SessionRef session_;
  lv::EventLoop loop_;
};

}  // namespace ca
