#pragma once
// Disks and images in Ceph RBD, as the agent uses them. librbd lives in a process of its own, compute-agent-rbd, which is started only
// where `images_type` = rbd: a host without Ceph carries nothing of it. A process rather than a library loaded on demand, because librados
// and cpprestsdk bring Boost.Asio built in two ways under the same unique symbols, and librados' threads crash beside the other one; it
// also keeps a call that hangs in Ceph out of the agent.

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

inline constexpr const char* kRbdHelper = "compute-agent-rbd";

// Starts the helper of `directory`; it ends with this process, and is started again when it ended by itself. kUnavailable when it can't be
// started, kInvalid when it belongs to another version.
[[nodiscard]] Result<std::unique_ptr<RbdModule>> start_rbd(const std::string& directory, const RbdOptions& options);

}  // namespace ca
