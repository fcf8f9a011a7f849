#pragma once
// What goes into an image, and the mark that it is complete.

#include <string>

#include "drivers/disk/rbd/cluster.h"

namespace ca::rbd {

// RBD has no rename that a crash could not cut in half, so an image that we make gets this mark as the last thing done to it. It holds the
// image's own name: a clone gets its parent's metadata at once.
inline constexpr const char* kCompleteKey = "compute-agent.complete";
[[nodiscard]] Result<void> mark_complete(const Image& image, const std::string& name);
[[nodiscard]] Result<bool> is_complete(const Image& image, const std::string& name);

[[nodiscard]] Result<void> set_metadata(const Image& image, const std::string& key, const std::string& value);
// Empty when there is none.
[[nodiscard]] Result<std::string> metadata(const Image& image, const std::string& key);

[[nodiscard]] Result<std::int64_t> size_of(const Image& image);

// Makes an image of `size_bytes` with the file's data in it and marks it; holes and zeros stay holes.
[[nodiscard]] Result<void> create_from_file(const PoolRef& pool, const std::string& name, const std::string& file, std::int64_t size_bytes);

}  // namespace ca::rbd
