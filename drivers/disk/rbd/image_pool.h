#pragma once
// The images in RBD: <pool>/<image id> with the protected snapshot "snap", as glance's rbd store keeps them.

#include <memory>
#include <string>

#include "drivers/disk/rbd/cluster.h"
#include "drivers/image_pool.h"

namespace ca::rbd {

inline constexpr const char* kImageSnapshot = "snap";

// `connection` outlives the pool.
[[nodiscard]] std::unique_ptr<ImagePool> make_image_pool(Connection& connection, const std::string& pool);

// Whether the image is complete: its snapshot is there and protected.
[[nodiscard]] Result<bool> has_image(const PoolRef& pool, const Uuid& id);
[[nodiscard]] Result<void> protect_image(const PoolRef& pool, const Uuid& id);
[[nodiscard]] Result<void> remove_pool_image(const PoolRef& pool, const Uuid& id);

}  // namespace ca::rbd
