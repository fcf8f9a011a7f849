#pragma once
// What the agent asks of a hypervisor. Implementations: libvirt/ (real), fake/ (faults the real one can't be made to show).
//
// Thread rules: every method may be called from any worker thread and may block up to the driver's own bound (libvirt: the
// keepalive of the connection); callers run them on bounded workers. The listener is called from the driver's event
// thread, must not block, and must not call back into the driver.
// Errors: kUnavailable when libvirtd can't be asked (which never means "gone"), kNotFound when it answered that the domain
// does not exist, kTimeout, kConflict (wrong power state), kExternal (anything else, with libvirt's own words).

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/core/block_devices.h"
#include "agent/core/error.h"
#include "agent/core/ids.h"
#include "agent/core/states.h"

namespace ca {

struct HostFacts {
  std::string hostname;
  std::string arch;  // "x86_64"
  std::string cpu_model;
  std::string cpu_vendor;
  std::vector<std::string> cpu_features;
  std::int64_t cpus = 0;
  std::int64_t sockets = 0, cores = 0, threads = 0;
  std::int64_t memory_mib = 0;
  std::string hypervisor_type;          // "QEMU"
  std::int64_t hypervisor_version = 0;  // 7002022 = 7.2.22
  std::int64_t library_version = 0;
  std::string emulator;  // path
};

struct DomainSeen {
  std::string uuid;
  std::string name;
  PowerState state = PowerState::kNoState;
  bool persistent = true;
};

struct DomainEvent {
  enum class Kind {
    kDefined,
    kUndefined,
    kStarted,
    kSuspended,
    kResumed,
    kStopped,
    kShutdown,
    kCrashed,
    kRebooted,
    kDeviceRemoved,
    kDeviceRemovalFailed,
    kBlockJob
  };
  std::string uuid;
  std::string name;
  Kind kind = Kind::kDefined;
  std::string detail;  // libvirt's reason in words: "destroyed", "shutdown", "failed", ...
};

// Where a change of a domain's devices takes effect: in the guest that runs now, or in the definition that the next start uses.
enum class DeviceScope { kLive, kDefinition };

// A key that libvirt hands to QEMU for a disk's storage. Nobody can read it back.
struct Secret {
  enum class Usage { kIscsi, kCeph };
  Uuid id;
  Usage usage = Usage::kIscsi;
  std::string name;   // unique among the secrets of its usage
  std::string value;  // as it is, not base64
};

// Counters of a running domain since its start. A member that libvirt does not tell (of a busy or silent QEMU) is -1; a list is empty.
struct DomainStats {
  struct Cpu {
    std::int64_t id = 0;
    std::int64_t time_ns = -1;
  };
  struct Disk {
    std::string name;  // "vda"
    std::int64_t read_bytes = -1, read_requests = -1, write_bytes = -1, write_requests = -1;
  };
  struct Nic {
    std::string name;  // "tap9394db63-c3"
    std::int64_t rx_octets = -1, rx_packets = -1, rx_errors = -1, rx_drop = -1;
    std::int64_t tx_octets = -1, tx_packets = -1, tx_errors = -1, tx_drop = -1;
  };
  PowerState state = PowerState::kNoState;
  std::vector<Cpu> cpus;
  std::vector<Disk> disks;
  std::vector<Nic> nics;
  std::int64_t memory_maximum_kib = -1;
  std::int64_t memory_used_kib = -1;  // of the guest's own telling; -1 where it has no balloon driver
};

// A job that works on a disk of a running domain.
struct BlockJob {
  bool active = false;
  bool ready = false;  // a copy holds all there is, and what the guest writes goes to both
  std::int64_t done_bytes = 0, total_bytes = 0;
};

class HypervisorListener {
 public:
  virtual ~HypervisorListener() = default;
  virtual void on_domain_event(const DomainEvent& event) = 0;
  // After true: every callback is registered again; the listener owes one bulk pass.
  virtual void on_connection(bool up, const std::string& reason) = 0;
};

class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  // Starts connecting in the background and keeps connecting, with back-off, whenever the connection is lost.
  virtual void start(HypervisorListener& listener) = 0;
  virtual void stop() = 0;
  [[nodiscard]] virtual bool connected() const = 0;

  virtual Result<HostFacts> host_facts() = 0;
  virtual Result<std::vector<DomainSeen>> list_domains() = 0;
  virtual Result<PowerState> power_state(const std::string& uuid) = 0;
  virtual Result<std::string> domain_xml(const std::string& uuid) = 0;

  // Creates or replaces the persistent definition with the uuid in `xml`.
  virtual Result<void> define(const std::string& xml) = 0;
  // Idempotent: an already running domain is success.
  virtual Result<void> create(const std::string& uuid) = 0;
  // Asks the guest (ACPI). Returns at once; the event tells when it is off.
  virtual Result<void> shutdown(const std::string& uuid) = 0;
  // Asks the guest to restart (ACPI power button under libvirt's "reboot on shutdown" emulation). Returns at once.
  virtual Result<void> reboot(const std::string& uuid) = 0;
  virtual Result<void> resume(const std::string& uuid) = 0;
  // Power off at once. Idempotent: a domain that is off or gone is success.
  virtual Result<void> destroy(const std::string& uuid) = 0;
  // Removes the definition, with managed save and NVRAM. Idempotent.
  virtual Result<void> undefine(const std::string& uuid) = 0;

  // --- pause, managed save, and what is asked of a running guest
  // Stops the guest's CPUs; resume() runs them again. Idempotent: a paused domain is success. kConflict when it is off.
  virtual Result<void> suspend(const std::string& uuid) = 0;
  // Writes the guest's memory to disk and powers it off; the next create() goes on from there. Takes as long as the memory is large.
  // Idempotent: a domain that is off and saved is success. kConflict when it is off without.
  virtual Result<void> managed_save(const std::string& uuid) = 0;
  // What managed_save() wrote is dropped: the next create() boots. Idempotent.
  virtual Result<void> remove_managed_save(const std::string& uuid) = 0;
  virtual Result<void> inject_nmi(const std::string& uuid) = 0;
  // By the guest agent. kConflict when it does not answer.
  virtual Result<void> set_user_password(const std::string& uuid, const std::string& user, const std::string& password) = 0;
  // Does not wait for a QEMU that is busy.
  virtual Result<DomainStats> domain_stats(const std::string& uuid) = 0;

  // --- copies of a running domain's disks; `disk` is the path of its source, or its target ("vda")
  // Begins to copy the whole disk, backing files included, into the new file `file`. kBlockJob events tell of its progress.
  // The domain loses the job, not the disk, when it ends.
  virtual Result<void> start_block_copy(const std::string& uuid, const std::string& disk, const std::string& file, DiskFormat format) = 0;
  virtual Result<BlockJob> block_job(const std::string& uuid, const std::string& disk) = 0;
  // Ends the job and waits until it let go of its file: a ready copy is then the disk as it was at that moment. Idempotent: no job,
  // or a domain that is off or gone, is success.
  virtual Result<void> end_block_job(const std::string& uuid, const std::string& disk) = 0;
  // Makes the guest's agent flush and hold its file systems, and let them go. Thawing what is not frozen is success.
  virtual Result<void> freeze(const std::string& uuid) = 0;
  virtual Result<void> thaw(const std::string& uuid) = 0;

  // --- devices and their storage
  // What the next start uses; domain_xml() tells what runs.
  virtual Result<std::string> definition_xml(const std::string& uuid) = 0;
  // kConflict: kLive of a domain that is off.
  virtual Result<void> attach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) = 0;
  // kLive only asks the guest: kDeviceRemoved or kDeviceRemovalFailed tells what came of it. kNotFound: there is no such device.
  virtual Result<void> detach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) = 0;
  // Tells the running guest of a disk's new size; `target` is its <target dev=>. kConflict: the domain is off.
  virtual Result<void> block_resize(const std::string& uuid, const std::string& target, std::int64_t bytes) = 0;
  // Writes the disk into the raw file `path`, which has its size: as it is at one moment before this returns. kTimeout after `limit`,
  // with the job ended. kConflict: the domain is off, or another job runs.
  virtual Result<void> copy_disk(const std::string& uuid, const std::string& target, const std::string& path,
                                 std::chrono::seconds limit) = 0;
  // Both are idempotent.
  virtual Result<void> set_secret(const Secret& secret) = 0;
  virtual Result<void> remove_secret(const Uuid& id) = 0;
};

}  // namespace ca
