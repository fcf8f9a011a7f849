#pragma once
// Instance disks in RBD (`images_type` = rbd), named as nova names them: <pool>/<uuid>_disk, _disk.eph0, _disk.swap, _disk.config,
// _disk.rescue. A disk of an image in RBD is a copy-on-write clone.

#include <memory>

#include "drivers/disk.h"
#include "drivers/disk/rbd/cluster.h"
#include "drivers/disk/rbd/rbd_module.h"

namespace ca::rbd {

// `connection` outlives the back end.
[[nodiscard]] std::unique_ptr<DiskBackend> make_rbd_backend(Connection& connection, const RbdOptions& options);

}  // namespace ca::rbd
