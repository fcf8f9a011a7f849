#include "agent/host_monitor.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/statvfs.h>

#include "drivers/hypervisor/kvm_probe/kvm_probe.h"

namespace ca {

HostMonitor::HostMonitor(const Config& config, Hypervisor& hypervisor, ClaimTable& claims, Store& store, ProcessRunner& processes)
    : config_(config), hypervisor_(hypervisor), claims_(claims), store_(store), processes_(processes) {
  view_.hypervisor_down_reason = "not connected yet";
}

Result<void> HostMonitor::refresh() {
  struct statvfs disk {};
  if (::statvfs(config_.instances_path.c_str(), &disk) != 0) return fail_errno(errno, "cannot look at " + config_.instances_path);
  const auto gib = [&](std::uint64_t blocks) { return static_cast<std::int64_t>(blocks * disk.f_frsize >> 30); };
  CA_TRY(const HostFacts facts, hypervisor_.host_facts());
  const HostCapacity capacity{{facts.cpus, config_.reserved_host_cpus, config_.cpu_allocation_ratio},
                              {facts.memory_mib, config_.reserved_host_memory_mb, config_.ram_allocation_ratio},
                              {gib(disk.f_blocks), reserved_disk_gib(config_.reserved_host_disk_mb), config_.disk_allocation_ratio}};
  const std::lock_guard lock(mutex_);
  capacity_ = capacity;
  tell_claims();
  view_.facts = facts;
  view_.disk_total_gib = gib(disk.f_blocks);
  view_.disk_free_gib = gib(disk.f_bavail);
  return {};
}

void HostMonitor::set_image_cache_bytes(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  view_.image_cache_gib = bytes >> 30;
  // Before the host's facts are known there is nothing to claim from.
  if (view_.facts) tell_claims();
}

void HostMonitor::tell_claims() {
  HostCapacity capacity = capacity_;
  capacity.disk_gib.reserved += view_.image_cache_gib;
  claims_.set_host(capacity);
}

void HostMonitor::choose_virt_type() {
  VirtChoice choice;
  if (config_.virt_type != "auto") {
    choice = {config_.virt_type, "set by [libvirt] virt_type"};
  } else {
    const std::string key = probe_cache_key();
    auto known = key.empty() ? Result<std::optional<std::string>>(std::nullopt) : store_.fact("kvm_probe", key);
    if (known && *known) {
      const bool usable = (*known)->starts_with("kvm:");
      choice = {usable ? "kvm" : "qemu", (*known)->substr((*known)->find(':') + 1) + " (probed at this boot)"};
    } else {
      const auto probe = probe_kvm(processes_);
      const bool usable = probe && probe->usable;
      choice = {usable ? "kvm" : "qemu", probe ? probe->reason : probe.error().chain()};
      if (probe && probe->lasting && !key.empty()) {
        [[maybe_unused]] const auto kept =
            store_.write(Durability::kOrdered, [&](Tx& tx) { return tx.put_fact("kvm_probe", key, choice.type + ":" + choice.reason); });
      }
    }
  }
  spdlog::info("guests run as virt_type {}: {}", choice.type, choice.reason);
  const std::lock_guard lock(mutex_);
  view_.virt = choice;
}

void HostMonitor::set_connection(bool up, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (view_.hypervisor_up != up) {
    if (up)
      spdlog::info("libvirt at {} answers", config_.connection_uri);
    else
      spdlog::error("libvirt at {} does not answer: {}; instances keep their states until it does", config_.connection_uri, reason);
  }
  view_.hypervisor_up = up;
  view_.hypervisor_down_reason = up ? "" : reason;
}

HostView HostMonitor::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

Result<VirtChoice> HostMonitor::virt() const {
  const std::lock_guard lock(mutex_);
  if (view_.virt.type.empty()) return fail(Code::kUnavailable, "it is not known yet whether KVM works here: the probe runs");
  return view_.virt;
}

}  // namespace ca
