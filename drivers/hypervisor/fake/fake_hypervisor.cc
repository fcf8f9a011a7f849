#include "drivers/hypervisor/fake/fake_hypervisor.h"

#include <fstream>
#include <pugixml.hpp>
#include <utility>

#include "agent/core/ids.h"

namespace ca {

using Kind = DomainEvent::Kind;

FakeHypervisor::FakeHypervisor() {
  facts_ = HostFacts{.hostname = "fake",
                     .arch = "x86_64",
                     .cpu_model = "qemu64",
                     .cpu_vendor = "AMD",
                     .cpu_features = {"sse2"},
                     .cpus = 8,
                     .sockets = 1,
                     .cores = 8,
                     .threads = 1,
                     .memory_mib = 16384,
                     .hypervisor_type = "QEMU",
                     .hypervisor_version = 7002000,
                     .library_version = 9000000,
                     .emulator = "/usr/bin/qemu-system-x86_64"};
}

FakeHypervisor::~FakeHypervisor() { stop(); }

void FakeHypervisor::start(HypervisorListener& listener) {
  const std::lock_guard lock(mutex_);
  if (listener_ != nullptr) return;
  listener_ = &listener;
  stopping_ = false;
  if (reachable_) enqueue([](HypervisorListener& to) { to.on_connection(true, "fake:///"); });
  thread_ = std::thread([this] { run(); });
}

void FakeHypervisor::stop() {
  faults_.release_all();
  {
    const std::lock_guard lock(mutex_);
    if (listener_ == nullptr) return;
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
  const std::lock_guard lock(mutex_);
  listener_ = nullptr;
  queue_.clear();
  held_.clear();
}

bool FakeHypervisor::connected() const {
  const std::lock_guard lock(mutex_);
  return reachable_ && listener_ != nullptr;
}

Result<FakeHypervisor::Domain*> FakeHypervisor::find(const std::string& uuid) {
  const auto it = domains_.find(uuid);
  if (it == domains_.end()) return fail(Code::kNotFound, "cannot find domain " + uuid);
  return &it->second;
}

Result<HostFacts> FakeHypervisor::host_facts() {
  return call<HostFacts>("host_facts", "", [this]() -> Result<HostFacts> { return facts_; });
}

Result<std::vector<DomainSeen>> FakeHypervisor::list_domains() {
  return call<std::vector<DomainSeen>>("list_domains", "", [this]() -> Result<std::vector<DomainSeen>> {
    std::vector<DomainSeen> all;
    for (const auto& [uuid, domain] : domains_) {
      all.push_back({.uuid = uuid, .name = domain.name, .state = domain.state, .persistent = domain.persistent});
    }
    return all;
  });
}

Result<PowerState> FakeHypervisor::power_state(const std::string& uuid) {
  return call<PowerState>("power_state", uuid, [&]() -> Result<PowerState> {
    CA_TRY(const Domain* domain, find(uuid));
    return domain->state;
  });
}

Result<std::string> FakeHypervisor::domain_xml(const std::string& uuid) {
  return call<std::string>("domain_xml", uuid, [&]() -> Result<std::string> {
    CA_TRY(const Domain* domain, find(uuid));
    return domain->state == PowerState::kShutdown ? domain->xml : domain->live_xml;
  });
}

Result<void> FakeHypervisor::define(const std::string& xml) {
  pugi::xml_document document;
  const bool parsed = document.load_buffer(xml.data(), xml.size());
  const auto root = document.child("domain");
  const std::string uuid = root.child_value("uuid");
  const std::string name = root.child_value("name");
  return call<void>("define", uuid, [&]() -> Result<void> {
    if (!parsed || !is_uuid(uuid) || name.empty()) return fail(Code::kInvalid, "cannot define the domain: no <domain> with uuid and name");
    for (const auto& [other, domain] : domains_) {
      if (other != uuid && domain.name == name) return fail(Code::kConflict, "domain '" + name + "' already exists with uuid " + other);
    }
    const bool added = !domains_.contains(uuid);
    Domain& domain = domains_[uuid];
    domain.name = name;
    domain.xml = xml;
    domain.persistent = true;
    emit(uuid, domain, Kind::kDefined, added ? "added" : "updated");
    return {};
  });
}

Result<void> FakeHypervisor::create(const std::string& uuid) {
  return call<void>("create", uuid, [&]() -> Result<void> {
    CA_TRY(Domain* const domain, find(uuid));
    if (domain->state != PowerState::kShutdown) return {};
    domain->state = PowerState::kRunning;
    domain->live_xml = domain->xml;
    emit(uuid, *domain, Kind::kResumed, "unpaused");
    emit(uuid, *domain, Kind::kStarted, std::exchange(domain->saved, false) ? "restored" : "booted");
    return {};
  });
}

Result<void> FakeHypervisor::shutdown(const std::string& uuid) {
  return call<void>("shutdown", uuid, [&]() -> Result<void> {
    CA_TRY(const Domain* domain, find(uuid));
    if (domain->state == PowerState::kShutdown) return fail(Code::kConflict, "domain " + uuid + " is not running");
    if (!ignores_acpi_) power_off(domains_.find(uuid), Kind::kShutdown, "shutdown");
    return {};
  });
}

Result<void> FakeHypervisor::reboot(const std::string& uuid) {
  return call<void>("reboot", uuid, [&]() -> Result<void> {
    CA_TRY(const Domain* domain, find(uuid));
    if (domain->state == PowerState::kShutdown) return fail(Code::kConflict, "domain " + uuid + " is not running");
    if (!ignores_acpi_) emit(uuid, *domain, Kind::kRebooted, "reboot");
    return {};
  });
}

Result<void> FakeHypervisor::resume(const std::string& uuid) {
  return call<void>("resume", uuid, [&]() -> Result<void> {
    CA_TRY(Domain* const domain, find(uuid));
    if (domain->state == PowerState::kShutdown) return fail(Code::kConflict, "domain " + uuid + " is not running");
    if (std::exchange(domain->state, PowerState::kRunning) == PowerState::kPaused) emit(uuid, *domain, Kind::kResumed, "unpaused");
    return {};
  });
}

Result<void> FakeHypervisor::destroy(const std::string& uuid) {
  return call<void>("destroy", uuid, [&]() -> Result<void> {
    const auto it = domains_.find(uuid);
    if (it != domains_.end() && it->second.state != PowerState::kShutdown) power_off(it, Kind::kStopped, "destroyed");
    return {};
  });
}

Result<void> FakeHypervisor::undefine(const std::string& uuid) {
  return call<void>("undefine", uuid, [&]() -> Result<void> {
    const auto it = domains_.find(uuid);
    if (it == domains_.end() || !it->second.persistent) return {};
    it->second.persistent = false;
    emit(uuid, it->second, Kind::kUndefined, "removed");
    if (it->second.state == PowerState::kShutdown) domains_.erase(it);
    return {};
  });
}

Result<void> FakeHypervisor::suspend(const std::string& uuid) {
  return call<void>("suspend", uuid, [&]() -> Result<void> {
    CA_TRY(Domain* const domain, find(uuid));
    if (domain->state == PowerState::kShutdown) return fail(Code::kConflict, "domain " + uuid + " is not running");
    if (std::exchange(domain->state, PowerState::kPaused) == PowerState::kRunning) emit(uuid, *domain, Kind::kSuspended, "paused");
    return {};
  });
}

Result<void> FakeHypervisor::managed_save(const std::string& uuid) {
  return call<void>("managed_save", uuid, [&]() -> Result<void> {
    CA_TRY(Domain* const domain, find(uuid));
    if (domain->saved) return {};
    if (domain->state == PowerState::kShutdown) return fail(Code::kConflict, "domain " + uuid + " is not running");
    domain->saved = true;
    power_off(domains_.find(uuid), Kind::kStopped, "saved");
    return {};
  });
}

Result<void> FakeHypervisor::remove_managed_save(const std::string& uuid) {
  return call<void>("remove_managed_save", uuid, [&]() -> Result<void> {
    if (const auto it = domains_.find(uuid); it != domains_.end()) it->second.saved = false;
    return {};
  });
}

Result<void> FakeHypervisor::inject_nmi(const std::string& uuid) {
  return call<void>("inject_nmi", uuid, [&]() -> Result<void> {
    CA_TRY(const Domain* domain, find(uuid));
    if (domain->state == PowerState::kShutdown) return fail(Code::kConflict, "domain " + uuid + " is not running");
    return {};
  });
}

Result<void> FakeHypervisor::set_user_password(const std::string& uuid, const std::string& user, const std::string& password) {
  return call<void>("set_user_password", uuid, [&]() -> Result<void> {
    CA_TRY(const Domain* domain, find(uuid));
    if (domain->state != PowerState::kRunning) return fail(Code::kConflict, "domain " + uuid + " is not running");
    if (user.empty() || password.empty()) return fail(Code::kInvalid, "a user and a password are needed");
    return {};
  });
}

Result<DomainStats> FakeHypervisor::domain_stats(const std::string& uuid) {
  return call<DomainStats>("domain_stats", uuid, [&]() -> Result<DomainStats> {
    CA_TRY(const Domain* domain, find(uuid));
    DomainStats stats;
    stats.state = domain->state;
    return stats;
  });
}

Result<void> FakeHypervisor::start_block_copy(const std::string& uuid, const std::string& disk, const std::string& file,
                                              DiskFormat format) {
  return call<void>("start_block_copy", uuid, [&]() -> Result<void> {
    CA_TRY(Domain* const domain, find(uuid));
    if (domain->state == PowerState::kShutdown) return fail(Code::kConflict, "domain " + uuid + " is not running");
    if (!domain->copying.insert(disk).second) return fail(Code::kConflict, "disk " + disk + " is being copied already");
    std::ofstream(file) << "copy of " << disk << " as " << to_string(format);
    if (copies_get_ready_) emit(uuid, *domain, Kind::kBlockJob, disk + ": ready");
    return {};
  });
}

Result<BlockJob> FakeHypervisor::block_job(const std::string& uuid, const std::string& disk) {
  return call<BlockJob>("block_job", uuid, [&]() -> Result<BlockJob> {
    CA_TRY(const Domain* domain, find(uuid));
    if (!domain->copying.contains(disk)) return BlockJob{};
    return BlockJob{.active = true, .ready = copies_get_ready_, .done_bytes = copies_get_ready_ ? 1 : 0, .total_bytes = 1};
  });
}

Result<void> FakeHypervisor::end_block_job(const std::string& uuid, const std::string& disk) {
  return call<void>("end_block_job", uuid, [&]() -> Result<void> {
    const auto it = domains_.find(uuid);
    if (it != domains_.end() && it->second.copying.erase(disk) > 0) emit(uuid, it->second, Kind::kBlockJob, disk + ": cancelled");
    return {};
  });
}

Result<void> FakeHypervisor::freeze(const std::string& uuid) {
  return call<void>("freeze", uuid, [&]() -> Result<void> {
    CA_TRY(Domain* const domain, find(uuid));
    if (domain->state != PowerState::kRunning) return fail(Code::kConflict, "domain " + uuid + " is not running");
    domain->frozen = true;
    return {};
  });
}

Result<void> FakeHypervisor::thaw(const std::string& uuid) {
  return call<void>("thaw", uuid, [&]() -> Result<void> {
    CA_TRY(Domain* const domain, find(uuid));
    domain->frozen = false;
    return {};
  });
}

void FakeHypervisor::power_off(Domains::iterator it, Kind first, const std::string& detail) {
  it->second.state = PowerState::kShutdown;
  it->second.frozen = false;
  it->second.copying.clear();
  if (first == Kind::kShutdown) emit(it->first, it->second, Kind::kShutdown, "finished");
  emit(it->first, it->second, Kind::kStopped, detail);
  if (!it->second.persistent) domains_.erase(it);
}

void FakeHypervisor::set_facts(HostFacts facts) {
  const std::lock_guard lock(mutex_);
  facts_ = std::move(facts);
}

void FakeHypervisor::lose_connection(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(reachable_, false)) return;
  enqueue([reason](HypervisorListener& to) { to.on_connection(false, reason); });
}

void FakeHypervisor::restore_connection() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(reachable_, true)) return;
  enqueue([](HypervisorListener& to) { to.on_connection(true, "fake:///"); });
}

void FakeHypervisor::start_disconnected() {
  const std::lock_guard lock(mutex_);
  reachable_ = false;
}

void FakeHypervisor::hold_events() {
  const std::lock_guard lock(mutex_);
  holding_ = true;
}

void FakeHypervisor::release_events() {
  const std::lock_guard lock(mutex_);
  holding_ = false;
  for (auto& delivery : held_) enqueue(std::move(delivery));
  held_.clear();
}

void FakeHypervisor::drop_events(int count) {
  const std::lock_guard lock(mutex_);
  to_drop_ += count;
}

void FakeHypervisor::flush_events() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return (queue_.empty() && !delivering_) || stopping_ || listener_ == nullptr; });
}

void FakeHypervisor::set_guest_ignores_acpi(bool ignores) {
  const std::lock_guard lock(mutex_);
  ignores_acpi_ = ignores;
}

void FakeHypervisor::guest_powers_off(const std::string& uuid) {
  const std::lock_guard lock(mutex_);
  const auto it = domains_.find(uuid);
  if (it != domains_.end() && it->second.state != PowerState::kShutdown) power_off(it, Kind::kShutdown, "shutdown");
}

void FakeHypervisor::guest_crashes(const std::string& uuid) {
  const std::lock_guard lock(mutex_);
  const auto it = domains_.find(uuid);
  if (it != domains_.end() && it->second.state != PowerState::kShutdown) power_off(it, Kind::kStopped, "failed");
}

void FakeHypervisor::pause(const std::string& uuid) {
  const std::lock_guard lock(mutex_);
  const auto it = domains_.find(uuid);
  if (it == domains_.end() || it->second.state != PowerState::kRunning) return;
  it->second.state = PowerState::kPaused;
  emit(uuid, it->second, Kind::kSuspended, "paused");
}

void FakeHypervisor::set_copies_get_ready(bool ready) {
  const std::lock_guard lock(mutex_);
  copies_get_ready_ = ready;
}

std::vector<std::string> FakeHypervisor::block_jobs() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> jobs;
  for (const auto& [uuid, domain] : domains_) {
    for (const std::string& disk : domain.copying) jobs.push_back(uuid + " " + disk);
  }
  return jobs;
}

bool FakeHypervisor::frozen(const std::string& uuid) const {
  const std::lock_guard lock(mutex_);
  const auto it = domains_.find(uuid);
  return it != domains_.end() && it->second.frozen;
}

std::vector<std::string> FakeHypervisor::defined() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> uuids;
  for (const auto& [uuid, domain] : domains_) uuids.push_back(uuid);
  return uuids;
}

std::vector<std::string> FakeHypervisor::running() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> uuids;
  for (const auto& [uuid, domain] : domains_) {
    if (domain.state != PowerState::kShutdown) uuids.push_back(uuid);
  }
  return uuids;
}

bool FakeHypervisor::saved(const std::string& uuid) const {
  const std::lock_guard lock(mutex_);
  const auto it = domains_.find(uuid);
  return it != domains_.end() && it->second.saved;
}

void FakeHypervisor::emit(const std::string& uuid, const Domain& domain, Kind kind, const std::string& detail) {
  if (!reachable_) return;
  if (to_drop_ > 0) {
    --to_drop_;
    return;
  }
  auto delivery = [event = DomainEvent{.uuid = uuid, .name = domain.name, .kind = kind, .detail = detail}](HypervisorListener& to) {
    to.on_domain_event(event);
  };
  if (holding_) {
    held_.emplace_back(std::move(delivery));
  } else {
    enqueue(std::move(delivery));
  }
}

void FakeHypervisor::enqueue(std::function<void(HypervisorListener&)> delivery) {
  queue_.push_back(std::move(delivery));
  changed_.notify_all();
}

void FakeHypervisor::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const auto delivery = std::move(queue_.front());
    queue_.pop_front();
    delivering_ = true;
    lock.unlock();
    delivery(*listener_);
    lock.lock();
    delivering_ = false;
    changed_.notify_all();
  }
}

}  // namespace ca
