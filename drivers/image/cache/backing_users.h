#pragma once
// Which bases the disks under instances_path really hang on, read from their headers in process.

#include <string>

#include "drivers/image.h"

namespace ca {

// Looks at every regular file below `instances_path` but not in `base_dir`; follows no link. Content is hostile: the worst that a guest
// can do with what it writes into a raw disk is to keep a base alive. Any file that is there and can't be read is an error: what is not
// known is not unused.
[[nodiscard]] Result<BaseUsers> backing_users(const std::string& instances_path, const std::string& base_dir);

}  // namespace ca
