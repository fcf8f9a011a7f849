#pragma once
// What both file back ends ask of a DiskSpec before they make anything.

#include "drivers/disk.h"

namespace ca {

// The wanted size is enough for the base, and the base is there and is what its record says. kInvalid,
// kNotFound or kConflict.
[[nodiscard]] Result<void> check_disk_spec(const DiskSpec& spec);

}  // namespace ca
