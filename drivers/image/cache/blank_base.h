#pragma once
// Makes the bases of ephemeral disks and swap: a sparse file with a file system or a swap signature, as nova's disk API makes them.

#include "drivers/image.h"
#include "drivers/process.h"

namespace ca {

// Makes `path` by temp file, a bounded mkfs, fsync and rename. kInvalid for a format or size there is none of.
[[nodiscard]] Result<void> make_blank_base(const BlankDisk& disk, const std::string& path, ProcessRunner& runner);

}  // namespace ca
