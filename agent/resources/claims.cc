#include "agent/resources/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace ca {
namespace {

constexpr std::int64_t kMibInGib = 1024;

bool same(const Claim& a, const Claim& b) { return a.vcpus == b.vcpus && a.memory_mib == b.memory_mib && a.disk_gib == b.disk_gib; }

std::string words(const Claim& claim) { return fmt::format("{} vCPUs, {} MiB, {} GiB", claim.vcpus, claim.memory_mib, claim.disk_gib); }

// Of records that add up to more than a number holds, the sum stays the largest number: nothing fits any more, which is right.
std::int64_t sum(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

Claim total(const std::map<Uuid, Claim>& claims) {
  Claim all;
  for (const auto& [uuid, claim] : claims) {
    all.vcpus = sum(all.vcpus, claim.vcpus);
    all.memory_mib = sum(all.memory_mib, claim.memory_mib);
    all.disk_gib = sum(all.disk_gib, claim.disk_gib);
  }
  return all;
}

// "memory: 128 MiB asked, 100 MiB free of 23000 MiB (ratio 1, reserved 512 MiB, used 22388 MiB)", or nothing when it fits.
std::string shortage(std::string_view what, std::string_view unit, std::int64_t asked, std::int64_t used, const Inventory& host) {
  if (asked > host.total) {
    return fmt::format("{}: {} {} asked for one instance, the host has {} {}", what, asked, unit, host.total, unit);
  }
  const std::int64_t free = std::max<std::int64_t>(0, host.capacity() - used);
  if (asked <= free) return {};
  return fmt::format("{}: {} {} asked, {} {} free of {} {} (ratio {}, reserved {} {}, used {} {})", what, asked, unit, free, unit,
                     host.total, unit, host.ratio, host.reserved, unit, used, unit);
}

}  // namespace

std::int64_t Inventory::capacity() const {
  if (total <= reserved) return 0;
  const double scaled = static_cast<double>(total - reserved) * ratio;
  constexpr double kMost = 9.0e18;
  return scaled >= kMost ? static_cast<std::int64_t>(kMost) : static_cast<std::int64_t>(std::max(0.0, scaled));
}

std::int64_t reserved_disk_gib(std::int64_t reserved_mib) { return reserved_mib / kMibInGib + (reserved_mib % kMibInGib > 0 ? 1 : 0); }

ClaimTable::ClaimTable(HostCapacity host) : host_(host) {}

void ClaimTable::set_host(HostCapacity host) {
  const std::scoped_lock lock(mutex_);
  host_ = host;
}

Result<void> ClaimTable::try_claim(const Uuid& uuid, const Claim& claim) {
  if (claim.vcpus < 0 || claim.memory_mib < 0 || claim.disk_gib < 0) {
    return fail(Code::kInvalid, fmt::format("instance {} asks for {}: amounts cannot be negative", uuid, words(claim)));
  }
  const std::scoped_lock lock(mutex_);
  if (const auto held = claims_.find(uuid); held != claims_.end()) {
    if (same(held->second, claim)) return {};
    return fail(Code::kConflict,
                fmt::format("instance {} already holds a claim of {} and asks for {}", uuid, words(held->second), words(claim)));
  }
  std::string short_of;
  for (const std::string& part : {shortage("vCPUs", "CPUs", claim.vcpus, used_.vcpus, host_.vcpus),
                                  shortage("memory", "MiB", claim.memory_mib, used_.memory_mib, host_.memory_mib),
                                  shortage("disk", "GiB", claim.disk_gib, used_.disk_gib, host_.disk_gib)}) {
    if (part.empty()) continue;
    short_of += (short_of.empty() ? "" : "; ") + part;
  }
  if (!short_of.empty()) {
    return fail(Code::kNoResources, fmt::format("instance {} does not fit on this host: {}", uuid, short_of));
  }
  claims_[uuid] = claim;
  used_ = total(claims_);
  return {};
}

Result<void> ClaimTable::change(const Uuid& uuid, const Claim& claim) {
  if (claim.vcpus < 0 || claim.memory_mib < 0 || claim.disk_gib < 0) {
    return fail(Code::kInvalid, fmt::format("instance {} asks for {}: amounts cannot be negative", uuid, words(claim)));
  }
  const std::scoped_lock lock(mutex_);
  const auto at = claims_.find(uuid);
  const Claim held = at == claims_.end() ? Claim{} : at->second;
  std::string short_of;
  const auto ask = [&](std::string_view what, std::string_view unit, std::int64_t Claim::*amount, const Inventory& host) {
    if (claim.*amount <= held.*amount) return;
    const std::string part = shortage(what, unit, claim.*amount, used_.*amount - held.*amount, host);
    if (!part.empty()) short_of += (short_of.empty() ? "" : "; ") + part;
  };
  ask("vCPUs", "CPUs", &Claim::vcpus, host_.vcpus);
  ask("memory", "MiB", &Claim::memory_mib, host_.memory_mib);
  ask("disk", "GiB", &Claim::disk_gib, host_.disk_gib);
  if (!short_of.empty()) return fail(Code::kNoResources, fmt::format("instance {} does not fit on this host: {}", uuid, short_of));
  claims_[uuid] = claim;
  used_ = total(claims_);
  return {};
}

void ClaimTable::release(const Uuid& uuid) {
  const std::scoped_lock lock(mutex_);
  if (claims_.erase(uuid) > 0) used_ = total(claims_);
}

void ClaimTable::restore(const std::vector<std::pair<Uuid, Claim>>& claims) {
  const std::scoped_lock lock(mutex_);
  claims_ = {claims.begin(), claims.end()};
  used_ = total(claims_);
}

std::optional<Claim> ClaimTable::find(const Uuid& uuid) const {
  const std::scoped_lock lock(mutex_);
  const auto held = claims_.find(uuid);
  return held == claims_.end() ? std::nullopt : std::optional<Claim>(held->second);
}

ClaimUsage ClaimTable::usage() const {
  const std::scoped_lock lock(mutex_);
  return {host_, used_, static_cast<std::int64_t>(claims_.size())};
}

}  // namespace ca
