#pragma once
// A hypervisor in memory, for what the real one cannot be made to show on demand: a call that fails at the nth time, hangs, or takes
// effect and still fails; a lost connection; events that come late or never.
//
// Events are delivered by a thread of its own, as the real driver does. flush_events() waits until all that may be delivered are.

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "drivers/hypervisor.h"
#include "drivers/hypervisor/fake/faults.h"

namespace ca {

class FakeHypervisor final : public Hypervisor {
 public:
  FakeHypervisor();
  ~FakeHypervisor() override;

  // Hypervisor. Methods for Faults: host_facts, list_domains, power_state, domain_xml, define, create, shutdown, reboot, resume,
  // destroy, undefine, suspend, managed_save, remove_managed_save, inject_nmi, set_user_password, domain_stats,
  // start_block_copy, block_job, end_block_job, freeze, thaw.
  void start(HypervisorListener& listener) override;
  void stop() override;
  [[nodiscard]] bool connected() const override;
  Result<HostFacts> host_facts() override;
  Result<std::vector<DomainSeen>> list_domains() override;
  Result<PowerState> power_state(const std::string& uuid) override;
  Result<std::string> domain_xml(const std::string& uuid) override;
  Result<void> define(const std::string& xml) override;
  Result<void> create(const std::string& uuid) override;
  Result<void> shutdown(const std::string& uuid) override;
  Result<void> reboot(const std::string& uuid) override;
  Result<void> resume(const std::string& uuid) override;
  Result<void> destroy(const std::string& uuid) override;
  Result<void> undefine(const std::string& uuid) override;
  Result<void> suspend(const std::string& uuid) override;
  Result<void> managed_save(const std::string& uuid) override;
  Result<void> remove_managed_save(const std::string& uuid) override;
  Result<void> inject_nmi(const std::string& uuid) override;
  Result<void> set_user_password(const std::string& uuid, const std::string& user, const std::string& password) override;
  Result<DomainStats> domain_stats(const std::string& uuid) override;
  Result<void> start_block_copy(const std::string& uuid, const std::string& disk, const std::string& file, DiskFormat format) override;
  Result<BlockJob> block_job(const std::string& uuid, const std::string& disk) override;
  Result<void> end_block_job(const std::string& uuid, const std::string& disk) override;
  Result<void> freeze(const std::string& uuid) override;
  Result<void> thaw(const std::string& uuid) override;

  // Devices; methods for Faults: definition_xml, attach_device, detach_device, block_resize, copy_disk, set_secret, remove_secret.
  Result<std::string> definition_xml(const std::string& uuid) override;
  Result<void> attach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) override;
  Result<void> detach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) override;
  Result<void> block_resize(const std::string& uuid, const std::string& target, std::int64_t bytes) override;
  Result<void> copy_disk(const std::string& uuid, const std::string& target, const std::string& path, std::chrono::seconds limit) override;
  Result<void> set_secret(const Secret& secret) override;
  Result<void> remove_secret(const Uuid& id) override;

  Faults& faults() { return faults_; }
  void set_facts(HostFacts facts);

  // The connection. While it is lost every call answers kUnavailable and no events come; what happened meanwhile shows in
  // list_domains() after restore_connection(), but not as events. The default is to be connected at start().
  void lose_connection(const std::string& reason);
  void restore_connection();
  void start_disconnected();

  // Events: held back until release_events(); or the next `count` lost.
  void hold_events();
  void release_events();
  void drop_events(int count);
  // Until every event that is neither held nor lost was handed to the listener.
  void flush_events();

  // What guests do by themselves. A guest answers shutdown() and reboot() unless it ignores ACPI.
  void set_guest_ignores_acpi(bool ignores);
  void guest_powers_off(const std::string& uuid);
  void guest_crashes(const std::string& uuid);  // kStopped, "failed": what libvirt tells of an emulator that died
  void pause(const std::string& uuid);
  // A copy is ready from the start, unless it never gets ready.
  void set_copies_get_ready(bool ready);
  // Disks with a job, as "<uuid> <disk>".
  [[nodiscard]] std::vector<std::string> block_jobs() const;
  [[nodiscard]] bool frozen(const std::string& uuid) const;
  // A guest lets a device go at once, unless it holds on: then the removal fails.
  void set_guest_keeps_devices(bool keeps);
  [[nodiscard]] std::vector<Uuid> secrets() const;

  [[nodiscard]] std::vector<std::string> defined() const;
  [[nodiscard]] std::vector<std::string> running() const;
  [[nodiscard]] bool saved(const std::string& uuid) const;  // its memory waits on disk

 private:
  struct Domain {
    std::string name;
    std::string xml;
    PowerState state = PowerState::kShutdown;
    bool persistent = true;
    bool frozen = false;
    std::set<std::string> copying;  // disks
    std::string live_xml;           // while it runs
    bool saved = false;
  };
  using Domains = std::map<std::string, Domain>;

  template <typename T>
  Result<T> call(const std::string& method, const std::string& uuid, const std::function<Result<T>()>& effect);
  Result<Domain*> find(const std::string& uuid);
  Result<std::string*> xml_of(const std::string& uuid, DeviceScope scope);
  void emit(const std::string& uuid, const Domain& domain, DomainEvent::Kind kind, const std::string& detail);
  void power_off(Domains::iterator it, DomainEvent::Kind first, const std::string& detail);
  void enqueue(std::function<void(HypervisorListener&)> delivery);
  void run();

  Faults faults_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  HypervisorListener* listener_ = nullptr;
  Domains domains_;
  HostFacts facts_;
  bool reachable_ = true;
  bool ignores_acpi_ = false;
  bool copies_get_ready_ = true;
  bool keeps_devices_ = false;
  std::map<Uuid, Secret> secrets_;
  bool holding_ = false;
  bool delivering_ = false;
  bool stopping_ = false;
  int to_drop_ = 0;
  std::deque<std::function<void(HypervisorListener&)>> queue_;  // to deliver, in order
  std::deque<std::function<void(HypervisorListener&)>> held_;
  std::thread thread_;
};

template <typename T>
Result<T> FakeHypervisor::call(const std::string& method, const std::string& uuid, const std::function<Result<T>()>& effect) {
  CA_TRY_VOID(faults_.enter(method, uuid));
  Result<T> result = [&]() -> Result<T> {
    const std::lock_guard lock(mutex_);
    if (!reachable_ || listener_ == nullptr) return fail(Code::kUnavailable, "the fake hypervisor is not connected");
    return effect();
  }();
  CA_TRY_VOID(faults_.leave(method));
  return result;
}

}  // namespace ca
