#pragma once
// What instances reserve on this host. In memory, microseconds under a lock that is never held across I/O; restored from the records
// at start. The rule is placement's: used + asked <= (total - reserved) * ratio.

#include <map>
#include <mutex>
#include <optional>

#include "agent/core/values.h"

namespace ca {

struct HostCapacity {
  std::int64_t vcpus = 0, memory_mib = 0, disk_gib = 0;
  std::int64_t reserved_vcpus = 0, reserved_memory_mib = 0, reserved_disk_gib = 0;
  double cpu_ratio = 1.0, ram_ratio = 1.0, disk_ratio = 1.0;
};

class ClaimTable {
 public:
  void set_capacity(const HostCapacity& capacity);
  // Idempotent for the same uuid and claim. kNoResources with the numbers of every resource that is short; kUnavailable while
  // the capacity is not known yet.
  Result<void> try_claim(const Uuid& uuid, const Claim& claim);
  // A claim that an earlier run was granted: taken without a check.
  void restore(const Uuid& uuid, const Claim& claim);
  void release(const Uuid& uuid);  // idempotent
  [[nodiscard]] Claim usage() const;

 private:
  mutable std::mutex mutex_;
  std::optional<HostCapacity> capacity_;
  std::map<Uuid, Claim> claims_;
  Claim used_;
};

}  // namespace ca
