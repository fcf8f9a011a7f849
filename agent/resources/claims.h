#pragma once
// What this host has, what is promised, and whether one more instance fits. Pure and in memory: a claim takes microseconds and
// never waits for I/O. The records keep the claims (Instance::claim); restore() reads them back after a start.
//
// Rules as in OpenStack's placement: capacity = (total - reserved) * allocation ratio, and no single instance gets more than
// the host really has (placement's max_unit).

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/values.h"

namespace ca {

struct Inventory {
  std::int64_t total = 0;
  std::int64_t reserved = 0;
  double ratio = 1.0;

  // Rounded down; 0 when more is reserved than there is.
  [[nodiscard]] std::int64_t capacity() const;
};

struct HostCapacity {
  Inventory vcpus;  // CPUs
  Inventory memory_mib;
  Inventory disk_gib;  // of the file system under instances_path
};

// [DEFAULT] reserved_host_disk_mb in the unit of HostCapacity::disk_gib, rounded up as nova does.
[[nodiscard]] std::int64_t reserved_disk_gib(std::int64_t reserved_mib);

struct ClaimUsage {
  HostCapacity host;
  Claim used;
  std::int64_t instances = 0;
};

// Thread-safe.
class ClaimTable {
 public:
  explicit ClaimTable(HostCapacity host);

  // When the host is asked again (memory or CPUs plugged, file system grown). Claims stay, even where they no longer fit.
  void set_host(HostCapacity host);

  // kNoResources with the numbers of everything that is short; kInvalid for a negative amount; kConflict when the instance already
  // holds a different claim. Holding the same claim already is success.
  Result<void> try_claim(const Uuid& uuid, const Claim& claim);
  // Another claim in place of the one the instance holds (or of none). Only what grows is asked for; what shrinks always fits.
  Result<void> change(const Uuid& uuid, const Claim& claim);
  // Nothing to release is success.
  void release(const Uuid& uuid);
  // Replaces all claims by those of the records, without asking whether they fit: they exist.
  void restore(const std::vector<std::pair<Uuid, Claim>>& claims);

  [[nodiscard]] std::optional<Claim> find(const Uuid& uuid) const;
  [[nodiscard]] ClaimUsage usage() const;

 private:
  mutable std::mutex mutex_;
  HostCapacity host_;
  std::map<Uuid, Claim> claims_;
  Claim used_;
};

}  // namespace ca
