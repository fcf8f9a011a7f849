#pragma once
// qcow2 overlays on _base (`images_type` = default or qcow2). The overlay's few structures are written in
// process: no qemu-img is started for them.

#include <memory>

#include "drivers/disk.h"

namespace ca {

[[nodiscard]] std::unique_ptr<DiskBackend> make_qcow2_backend();

}  // namespace ca
