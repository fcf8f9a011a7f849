#pragma once
// Does KVM on this host run guests? The device node proves nothing: nested and emulating KVMs have it and still hang stock kernels.
// The probe boots a guest of its own (guest.S, about 1 KiB) that does what kernels do, and is timed while it does it.
// It takes some 50 ms where KVM works and at most `wall_limit` where it does not.

#include <chrono>
#include <string>

#include "agent/core/error.h"
#include "drivers/process.h"

namespace ca {

struct KvmProbeOptions {
  std::string qemu = "/usr/bin/qemu-system-x86_64";
  std::string device = "/dev/kvm";
  std::string accel = "kvm";      // "tcg" proves the guest itself (tests)
  std::string work_dir = "/tmp";  // a directory of two small files is made here and removed
  std::chrono::milliseconds wall_limit{3'000};
};

struct KvmProbe {
  bool usable = false;
  std::string reason;   // a sentence for the log and `hypervisor show`
  bool lasting = true;  // false: may turn out otherwise without a reboot (permissions, a busy host); don't cache
};

// An error only when the probe could not be made at all (no QEMU, no room in work_dir); the caller then uses qemu.
[[nodiscard]] Result<KvmProbe> probe_kvm(ProcessRunner& runner, const KvmProbeOptions& options = {});

// The verdict is good for one boot of the host and one QEMU binary. Empty when that cannot be told: probe again.
[[nodiscard]] std::string probe_cache_key(const KvmProbeOptions& options = {});

}  // namespace ca
