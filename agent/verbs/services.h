#pragma once
// What verbs work with. Everything is an interface or a value; verbs own none of it.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "agent/config/config.h"
#include "agent/config/paths.h"
#include "agent/core/clock.h"
#include "agent/resources/claims.h"
#include "agent/store/store.h"
#include "agent/verbs/domain_events.h"
#include "drivers/disk.h"
#include "drivers/hypervisor.h"
#include "drivers/image.h"
#include "drivers/image_store.h"
#include "drivers/network.h"
#include "drivers/process.h"
#include "drivers/volume.h"

namespace ca {

struct VirtChoice {
  std::string type;    // "kvm" or "qemu"
  std::string reason;  // why, for the log and `hypervisor show`
};

// Back ends of volumes by name (Volume::backend), and who works on the volumes.
struct VolumeAccess {
  std::map<std::string, std::unique_ptr<VolumeBackend>> backends;
  // Carries out what the status of a volume or snapshot orders (creating, deleting, extending), in the background.
  std::function<void(const Uuid&)> work_on;
};

struct Services {
  const Config& config;
  const Paths& paths;
  const Clock& clock;
  Store& store;
  Hypervisor& hypervisor;
  DomainEvents& events;
  NetworkDriver& networks;
  ImageCache& images;
  DiskBackend& disks;
  ClaimTable& claims;
  // kUnavailable until the probe has ended.
  std::function<Result<VirtChoice>()> virt;
  // The back end that a LocalDisk::storage names, so that disks outlive a change of images_type; `disks` is the one for new disks.
  // kInvalid: this agent has no such back end.
  std::function<Result<DiskBackend*>(std::string_view storage)> disks_of;
  ImageStore& image_store;
  ProcessRunner& processes;
  VolumeAccess& volumes;
};

}  // namespace ca
