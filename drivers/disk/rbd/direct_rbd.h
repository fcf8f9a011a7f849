#pragma once
// RBD by librbd in this process: what the helper serves.

#include <memory>

#include "drivers/disk/rbd/rbd_module.h"

namespace ca::rbd {

[[nodiscard]] std::unique_ptr<RbdModule> make_direct_rbd(const RbdOptions& options);

}  // namespace ca::rbd
