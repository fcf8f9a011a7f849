#include "agent/resources/claims.h"

#include <fmt/format.h>

#include <cmath>

namespace ca {
namespace {

// Empty when it fits; else the sentence with all numbers.
std::string shortage(std::string_view what, std::string_view unit, std::int64_t asked, std::int64_t used, std::int64_t total,
                     std::int64_t reserved, double ratio) {
  const auto limit = static_cast<std::int64_t>(std::floor(static_cast<double>(total - reserved) * ratio));
  if (asked <= limit - used) return {};
  return fmt::format("{}: {} {} asked, {} free (total {}, reserved {}, ratio {:g}, used {})", what, asked, unit, limit - used, total, reserved,
                     ratio, used);
}

void add(Claim& sum, const Claim& claim, int sign) {
  sum.vcpus += sign * claim.vcpus;
  sum.memory_mib += sign * claim.memory_mib;
  sum.disk_gib += sign * claim.disk_gib;
}

}  // namespace

void ClaimTable::set_capacity(const HostCapacity& capacity) {
  const std::lock_guard lock(mutex_);
  capacity_ = capacity;
}

Result<void> ClaimTable::try_claim(const Uuid& uuid, const Claim& claim) {
  const std::lock_guard lock(mutex_);
  if (!capacity_) return fail(Code::kUnavailable, "the host's capacity is not known yet: libvirt was not asked so far");
  const auto existing = claims_.find(uuid);
  Claim used = used_;
  if (existing != claims_.end()) add(used, existing->second, -1);
  const HostCapacity& c = *capacity_;
  std::string text;
  for (const std::string& part :
       {shortage("vCPU", "vCPU", claim.vcpus, used.vcpus, c.vcpus, c.reserved_vcpus, c.cpu_ratio),
        shortage("memory", "MiB", claim.memory_mib, used.memory_mib, c.memory_mib, c.reserved_memory_mib, c.ram_ratio),
        shortage("disk", "GiB", claim.disk_gib, used.disk_gib, c.disk_gib, c.reserved_disk_gib, c.disk_ratio)}) {
    if (!part.empty()) text += (text.empty() ? "" : "; ") + part;
  }
  if (!text.empty()) return fail(Code::kNoResources, "Insufficient compute resources: " + text);
  claims_[uuid] = claim;
  add(used, claim, +1);
  used_ = used;
  return {};
}

void ClaimTable::restore(const Uuid& uuid, const Claim& claim) {
  const std::lock_guard lock(mutex_);
  if (const auto existing = claims_.find(uuid); existing != claims_.end()) add(used_, existing->second, -1);
  claims_[uuid] = claim;
  add(used_, claim, +1);
}

void ClaimTable::release(const Uuid& uuid) {
  const std::lock_guard lock(mutex_);
  const auto existing = claims_.find(uuid);
  if (existing == claims_.end()) return;
  add(used_, existing->second, -1);
  claims_.erase(existing);
}

Claim ClaimTable::usage() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

}  // namespace ca
