#pragma once
// What this host is, kept for the API and the claims: asked from libvirt when a connection came up, never by a timer.

#include <functional>
#include <mutex>
#include <string>

#include "agent/api/api_services.h"
#include "drivers/process.h"

namespace ca {

class HostMonitor {
 public:
  HostMonitor(const Config& config, Hypervisor& hypervisor, ClaimTable& claims, Store& store, ProcessRunner& processes);

  // Blocking; on a worker. Reads the host's facts and disk, and tells the claims what there is.
  Result<void> refresh();
  // Blocking; on a worker. Decides kvm or qemu: from the option, from what was found out at this boot, or by the probe.
  void choose_virt_type();
  // What the image cache takes is used disk.
  void set_image_cache_bytes(std::int64_t bytes);
  void set_connection(bool up, const std::string& reason);

  [[nodiscard]] HostView view() const;
  // kUnavailable until it was chosen.
  [[nodiscard]] Result<VirtChoice> virt() const;

 private:
  const Config& config_;
  Hypervisor& hypervisor_;
  ClaimTable& claims_;
  Store& store_;
  ProcessRunner& processes_;
  mutable std::mutex mutex_;
  HostView view_;
  HostCapacity capacity_;  // without the image cache
  void tell_claims();      // with mutex_ held
};

}  // namespace ca
