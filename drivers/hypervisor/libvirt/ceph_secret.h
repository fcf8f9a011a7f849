#pragma once
// libvirt's secret with the cephx key that guests' disks in RBD are opened with.

#include <memory>
#include <string>

#include "agent/core/ids.h"
#include "drivers/hypervisor/libvirt/libvirt_hypervisor.h"

namespace ca {

struct CephSecret {
  Uuid uuid;
  std::string user;        // "agent"
  std::string base64_key;  // as a keyring has it
};

// Defines it, kept over restarts and readable by nobody, and sets its value. Idempotent; it is never undefined: guests use it.
Result<void> put_ceph_secret(LibvirtConnection& connection, const CephSecret& secret);

}  // namespace ca
