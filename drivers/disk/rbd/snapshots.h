#pragma once
// Snapshots of a disk: the mark that an image of it is made from, and the one that a resize goes back to.

#include <cstdint>
#include <string>

#include "agent/core/ids.h"
#include "drivers/disk/rbd/cluster.h"

namespace ca::rbd {

inline constexpr const char* kMarkPrefix = "image-";           // and the id of the image
inline constexpr const char* kResizeSnapshot = "nova-resize";  // nova: RESIZE_SNAPSHOT_NAME in storage/rbd_utils.py

[[nodiscard]] inline std::string mark_of(const Uuid& image_id) { return kMarkPrefix + image_id; }

// Takes the snapshot anew.
[[nodiscard]] Result<void> take_snapshot(const Image& disk, const std::string& snapshot);
[[nodiscard]] Result<bool> has_snapshot(const Image& disk, const std::string& snapshot);
// The disk is again what the snapshot holds, in size too.
[[nodiscard]] Result<void> roll_back(const Image& disk, const std::string& snapshot);

// Copies what the snapshot holds to a raw file; what was never written stays a hole. Bounded by the caller.
[[nodiscard]] Result<void> export_snapshot(const PoolRef& pool, const std::string& disk, const std::string& snapshot,
                                           const std::string& file);

}  // namespace ca::rbd
