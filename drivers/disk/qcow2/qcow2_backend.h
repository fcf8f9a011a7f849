#pragma once
// qcow2 overlays on _base (`images_type` = default or qcow2). The overlay's few structures are written in
// process: no qemu-img is started for them.

#include <memory>
#include <string>

#include "drivers/disk.h"
#include "drivers/process.h"

namespace ca {

[[nodiscard]] std::unique_ptr<DiskBackend> make_qcow2_backend(std::string instances_path, ProcessRunner& runner, std::string qemu_img);

}  // namespace ca
