#pragma once
// Disks and images in Ceph RBD, as a module of its own: libcompute-agent-rbd.so is loaded only where `images_type` = rbd, so that a host
// without Ceph does not carry librbd.

#include <chrono>
#include <memory>
#include <string>

#include "drivers/disk.h"
#include "drivers/image_pool.h"

namespace ca {

struct RbdOptions {
  std::string pool;        // of the instances' disks
  std::string ceph_conf;   // empty: Ceph's own search path
  std::string user;        // "agent" of client.agent; empty: client.admin without a libvirt secret
  Uuid secret_uuid;        // libvirt's secret with the user's key
  std::string store_pool;  // of the images; empty: images are kept as files
  std::string store_user;
  std::string store_ceph_conf;
  std::chrono::seconds connect_timeout{5};
  int destroy_retries = 12;  // waits for the last user of a disk that is deleted
  std::chrono::seconds destroy_interval{5};
};

class RbdModule {
 public:
  virtual ~RbdModule() = default;
  [[nodiscard]] virtual DiskBackend& disks() = 0;
  [[nodiscard]] virtual ImagePool* images() = 0;  // null without a pool for images
  // The cephx key of the user, from the keyring that ceph.conf names. For libvirt's secret; never logged.
  [[nodiscard]] virtual Result<std::string> key() = 0;
};

// What the module exports; `version` is that of the agent it was built with.
struct RbdModuleEntry {
  const char* version;
  std::unique_ptr<RbdModule> (*make)(const RbdOptions& options);
};
inline constexpr const char* kRbdModuleFile = "libcompute-agent-rbd.so";
inline constexpr const char* kRbdModuleSymbol = "compute_agent_rbd_module";

// Loads the module from `directory`. kUnavailable when it or librbd is not there, kInvalid when it belongs to another version. It stays
// loaded until the program ends.
[[nodiscard]] Result<std::unique_ptr<RbdModule>> load_rbd_module(const std::string& directory, const RbdOptions& options);

}  // namespace ca
