#include "drivers/hypervisor/libvirt/connection.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <future>
#include <random>
#include <thread>
#include <utility>

#include "drivers/hypervisor/libvirt/errors.h"

namespace ca {

using std::chrono::steady_clock;

namespace {

// A connection that was up for shorter than this counts as one more failure, so that a flapping libvirtd is not hammered.
constexpr std::chrono::seconds kLasting{5};

std::chrono::milliseconds back_off(const LibvirtOptions& options, unsigned failures) {
  auto delay = options.first_retry * (1U << std::min(failures - 1, 16U));
  delay = std::min(delay, options.longest_retry);
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::chrono::milliseconds(std::uniform_int_distribution<long long>(delay.count() / 2, delay.count())(random));
}

}  // namespace

void LibvirtConnection::start(HypervisorListener& listener) {
  std::uint64_t epoch = 0;
  {
    const std::lock_guard lock(mutex_);
    if (listener_ != nullptr) return;
    listener_ = &listener;
    epoch = ++epoch_;
    failures_ = 0;
    told_down_ = false;
    last_failure_ = "not connected yet";
  }
  loop_.start();
  connect_in_background(epoch);
}

void LibvirtConnection::stop() {
  lv::SessionRef last;
  {
    std::unique_lock lock(mutex_);
    if (listener_ == nullptr) return;
    listener_ = nullptr;
    ++epoch_;
    last = std::move(session_);
    session_.reset();
    last_failure_ = "the agent is stopping";
    changed_.notify_all();
  }
  // Closing talks to libvirtd and can hang with it, so it is done aside and left behind after a while.
  std::promise<void> closed;
  auto done = closed.get_future();
  std::thread([last = std::move(last), closed = std::move(closed)]() mutable {
    last.reset();
    closed.set_value();
  }).detach();
  const auto deadline = steady_clock::now() + options_.stop_limit;
  done.wait_until(deadline);
  {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [this] { return connectors_ == 0; });
  }
  loop_.stop();
}

bool LibvirtConnection::connected() const {
  const std::lock_guard lock(mutex_);
  return session_ != nullptr && !session_->closed();
}

Result<lv::SessionRef> LibvirtConnection::session() const {
  const std::lock_guard lock(mutex_);
  if (session_ != nullptr && !session_->closed()) return session_;
  std::string why = last_failure_;
  const auto waiting = steady_clock::now() - attempt_began_;
  if (connectors_ > 0 && attempt_began_ != steady_clock::time_point{} && waiting > std::chrono::seconds(1)) {
    why += "; an attempt to connect has had no answer for " +
           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(waiting).count()) + " s";
  }
  return fail(Code::kUnavailable, "libvirt at " + options_.uri + " cannot be asked now: " + why,
              "see that libvirtd runs (systemctl status libvirtd, virsh -c " + options_.uri + " list); the agent reconnects by itself");
}

void LibvirtConnection::deliver(std::uint64_t session_id, const DomainEvent& event) {
  HypervisorListener* listener = nullptr;
  {
    const std::lock_guard lock(mutex_);
    // What comes before the connection is announced is seen by the listener's bulk pass.
    if (session_ == nullptr || session_->id() != session_id) return;
    listener = listener_;
  }
  if (listener != nullptr) listener->on_domain_event(event);
}

void LibvirtConnection::on_closed(std::uint64_t session_id, const std::string& reason) {
  HypervisorListener* listener = nullptr;
  std::uint64_t epoch = 0;
  {
    const std::lock_guard lock(mutex_);
    if (session_ == nullptr || session_->id() != session_id) return;
    // Released by the loop later: this is a callback of the connection itself.
    loop_.post([old = std::exchange(session_, nullptr)] {});
    listener = listener_;
    epoch = epoch_;
    last_failure_ = reason;
    told_down_ = true;
    failures_ = steady_clock::now() - up_since_ < kLasting ? failures_ + 1 : 0;
  }
  spdlog::warn("connection to {} lost: {}", options_.uri, reason);
  if (listener != nullptr) listener->on_connection(false, reason);
  connect_in_background(epoch);
}

void LibvirtConnection::connect_in_background(std::uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  if (epoch != epoch_ || listener_ == nullptr) return;
  ++connectors_;
  attempt_began_ = {};
  // Detached, because opening can hang for ever; it owns a reference and touches nothing of a later epoch.
  std::thread([self = shared_from_this(), epoch] { self->keep_connecting(epoch); }).detach();
}

void LibvirtConnection::keep_connecting(std::uint64_t epoch) {
  while (wait_before_next_try(epoch)) {
    auto opened = open_once();
    const std::lock_guard lock(mutex_);
    attempt_began_ = {};
    if (epoch != epoch_) break;
    if (opened) {
      --connectors_;
      loop_.post([self = shared_from_this(), session = *std::move(opened), epoch] { self->adopt(session, epoch); });
      changed_.notify_all();
      return;
    }
    ++failures_;
    last_failure_ = opened.error().chain();
    loop_.post([self = shared_from_this(), reason = last_failure_, epoch] { self->report_down(reason, epoch); });
  }
  const std::lock_guard lock(mutex_);
  --connectors_;
  changed_.notify_all();
}

bool LibvirtConnection::wait_before_next_try(std::uint64_t epoch) {
  std::unique_lock lock(mutex_);
  const auto stale = [&] { return epoch != epoch_; };
  if (failures_ > 0 && changed_.wait_for(lock, back_off(options_, failures_), stale)) return false;
  if (stale()) return false;
  attempt_began_ = steady_clock::now();
  return true;
}

Result<lv::SessionRef> LibvirtConnection::open_once() {
  const virConnectPtr conn = virConnectOpenAuth(options_.uri.c_str(), nullptr, 0);
  if (conn == nullptr) return tl::unexpected<Error>(lv::last_error());
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = next_session_id_++;
  }
  auto session = std::make_shared<lv::Session>(conn, id);
  CA_TRY_VOID(session->watch(weak_from_this(), options_));
  return session;
}

void LibvirtConnection::adopt(const lv::SessionRef& session, std::uint64_t epoch) {
  HypervisorListener* listener = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (epoch != epoch_ || listener_ == nullptr) return;
    if (!session->closed()) {
      session_ = session;
      up_since_ = steady_clock::now();
      told_down_ = false;
      listener = listener_;
    } else {
      ++failures_;
    }
  }
  if (listener == nullptr) {
    connect_in_background(epoch);
    return;
  }
  spdlog::info("connected to {}", options_.uri);
  listener->on_connection(true, options_.uri);
}

void LibvirtConnection::report_down(const std::string& reason, std::uint64_t epoch) {
  HypervisorListener* listener = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (epoch != epoch_ || std::exchange(told_down_, true)) return;
    listener = listener_;
  }
  if (listener == nullptr) return;
  spdlog::warn("cannot connect to {}: {}", options_.uri, reason);
  listener->on_connection(false, reason);
}

std::shared_ptr<LibvirtConnection> make_libvirt_connection(LibvirtOptions options) {
  return std::make_shared<LibvirtConnection>(std::move(options));
}

}  // namespace ca
