#include <libvirt/virterror.h>
#include <spdlog/spdlog.h>

#include "drivers/hypervisor/libvirt/block_jobs.h"
#include "drivers/hypervisor/libvirt/connection.h"
#include "drivers/hypervisor/libvirt/domain_events.h"
#include "drivers/hypervisor/libvirt/errors.h"

namespace ca::lv {
namespace {

// What a callback leads to. It holds no session: the event thread must never be the one that closes a connection in its own callback.
struct Target {
  std::weak_ptr<LibvirtConnection> connection;
  std::uint64_t session_id;
  std::shared_ptr<std::atomic<bool>> closed;
};

void free_target(void* opaque) { delete static_cast<Target*>(opaque); }

void hand_over(void* opaque, const DomainEvent& event) {
  const auto* target = static_cast<const Target*>(opaque);
  if (const auto connection = target->connection.lock()) connection->deliver(target->session_id, event);
}

int on_lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* opaque) {
  if (auto what = lifecycle_event(event, detail)) {
    name_domain(domain, *what);
    hand_over(opaque, *what);
  }
  return 0;
}

void on_reboot(virConnectPtr, virDomainPtr domain, void* opaque) {
  DomainEvent event{.kind = DomainEvent::Kind::kRebooted, .detail = "reboot"};
  name_domain(domain, event);
  hand_over(opaque, event);
}

void on_block_job(virConnectPtr, virDomainPtr domain, const char* target, int /*type*/, int status, void* opaque) {
  DomainEvent event = block_job_event(target, status);
  name_domain(domain, event);
  hand_over(opaque, event);
}

void on_device_removed(virConnectPtr, virDomainPtr domain, const char* alias, void* opaque) {
  DomainEvent event{.kind = DomainEvent::Kind::kDeviceRemoved, .detail = alias};
  name_domain(domain, event);
  hand_over(opaque, event);
}

void on_device_removal_failed(virConnectPtr, virDomainPtr domain, const char* alias, void* opaque) {
  DomainEvent event{.kind = DomainEvent::Kind::kDeviceRemovalFailed, .detail = alias};
  name_domain(domain, event);
  hand_over(opaque, event);
}

std::string close_reason(int reason) {
  switch (reason) {
    case VIR_CONNECT_CLOSE_REASON_EOF: return "libvirtd closed the connection";
    case VIR_CONNECT_CLOSE_REASON_KEEPALIVE: return "libvirtd did not answer the keepalive";
    case VIR_CONNECT_CLOSE_REASON_CLIENT: return "closed by the agent";
    default: return "an I/O error ended the connection";
  }
}

void on_close(virConnectPtr, int reason, void* opaque) {
  const auto* target = static_cast<const Target*>(opaque);
  *target->closed = true;
  if (const auto connection = target->connection.lock()) connection->on_closed(target->session_id, close_reason(reason));
}

bool unsupported() {
  const virErrorPtr last = virGetLastError();
  return last != nullptr && last->code == VIR_ERR_NO_SUPPORT;
}

}  // namespace

Session::~Session() {
  for (const int id : event_ids_) virConnectDomainEventDeregisterAny(conn_, id);
  if (close_callback_) virConnectUnregisterCloseCallback(conn_, on_close);
  virConnectClose(conn_);
}

Result<void> Session::watch(const std::weak_ptr<LibvirtConnection>& connection, const LibvirtOptions& options) {
  // Drivers that live in this process (test:///) have neither keepalive nor a connection that could close.
  if (virConnectSetKeepAlive(conn_, options.keepalive_interval_s, options.keepalive_count) < 0 && !unsupported()) {
    return failed("cannot switch keepalive on");
  }
  auto close_target = std::make_unique<Target>(Target{connection, id_, closed_});
  if (virConnectRegisterCloseCallback(conn_, on_close, close_target.get(), free_target) == 0) {
    static_cast<void>(close_target.release());
    close_callback_ = true;
  } else if (!unsupported()) {
    return failed("cannot watch the connection");
  }
  const auto subscribe = [&](int event, virConnectDomainEventGenericCallback callback) {
    auto event_target = std::make_unique<Target>(Target{connection, id_, closed_});
    const int id = virConnectDomainEventRegisterAny(conn_, nullptr, event, callback, event_target.get(), free_target);
    if (id < 0) return false;
    static_cast<void>(event_target.release());
    event_ids_.push_back(id);
    return true;
  };
  if (!subscribe(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)) ||
      !subscribe(VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot)) ||
      !subscribe(VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, VIR_DOMAIN_EVENT_CALLBACK(on_block_job)) ||
      !subscribe(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed)) ||
      !subscribe(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removal_failed))) {
    return failed("cannot subscribe to domain events");
  }
  virResetLastError();
  return {};
}

tl::unexpected<Error> Session::failed(const std::string& what) const {
  Error cause = last_error();
  if (cause.code != Code::kUnavailable && (*closed_ || virConnectIsAlive(conn_) != 1)) {
    virResetLastError();
    cause.code = Code::kUnavailable;
  }
  return wrap(std::move(cause), what);
}

}  // namespace ca::lv
