#pragma once
// Images go for good, or into the pool's trash while somebody still has them open.

#include <chrono>
#include <string>

#include "drivers/disk/rbd/cluster.h"

namespace ca::rbd {

// Nothing there is success; kConflict while it has watchers or snapshots.
[[nodiscard]] Result<void> remove_image(const PoolRef& pool, const std::string& name);

struct Patience {
  int retries;
  std::chrono::seconds interval;
};
// Waits for the last watcher, then moves the image to the trash, from where empty_trash() removes it.
[[nodiscard]] Result<void> remove_or_trash(const PoolRef& pool, const std::string& name, const Patience& patience);

// Removes what remove_or_trash() put into the trash and nobody uses any more.
void empty_trash(const PoolRef& pool);

// Whether `name` is one that DiskBackend::address() makes, of any instance.
[[nodiscard]] bool is_disk_name(const std::string& name);

// The snapshot is unprotected and removed. Nothing there is success; kConflict while clones hang on it.
[[nodiscard]] Result<void> remove_snapshot(const Image& image, const std::string& snapshot);

}  // namespace ca::rbd
