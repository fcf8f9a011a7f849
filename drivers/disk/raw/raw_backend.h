#pragma once
// Flat raw disks (`images_type` = raw): a reflink or sparse copy of the base, grown to the wanted size.

#include <memory>
#include <string>

#include "drivers/disk.h"

namespace ca {

[[nodiscard]] std::unique_ptr<DiskBackend> make_raw_backend(std::string instances_path);

}  // namespace ca
