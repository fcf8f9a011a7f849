#pragma once
// What both file back ends ask of a DiskSpec before they make anything.

#include "drivers/disk.h"

namespace ca {

// The wanted size is enough for the base, and the base is there and is what its record says. kInvalid,
// kNotFound or kConflict.
[[nodiscard]] Result<void> check_disk_spec(const DiskSpec& spec);

// Allocates the file system's space for `bytes` of the file, whose length stays (as nova: fallocate -n). kNoSpace; kInvalid where the
// file system can't.
[[nodiscard]] Result<void> allocate_space(int fd, std::int64_t bytes, const std::string& path);

// kNotFound: no such disk; kInvalid: it would shrink.
[[nodiscard]] Result<void> check_growth(const std::string& address, std::optional<std::int64_t> now, std::int64_t wanted);

}  // namespace ca
