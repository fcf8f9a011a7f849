#pragma once
// What is done to bases after they were made: listed, checked, removed. Each function names a base by its file's name.

#include <optional>

#include "drivers/image/cache/base_info.h"
#include "drivers/image/cache/file_lock.h"
#include "drivers/image/cache/image_cache.h"

namespace ca {

// A file name in _base that is a base's: a digest, or a blank disk's.
[[nodiscard]] bool is_base_name(const std::string& name);
[[nodiscard]] std::string lock_path(const ImageCacheOptions& options, const std::string& name);
// Sets the time of last use to now; collectors go by it, as nova's do.
[[nodiscard]] Result<void> mark_used(const std::string& base_path);

[[nodiscard]] Result<std::vector<CachedBase>> list_bases(const ImageCacheOptions& options);
[[nodiscard]] Result<bool> remove_unused_base(const ImageCacheOptions& options, const std::string& name, std::chrono::seconds min_age,
                                              const std::function<Result<bool>()>& in_use);
// Temporary, trash and orphaned files that nobody is at.
[[nodiscard]] Result<void> remove_base_leftovers(const ImageCacheOptions& options);

// `fetch_again` replaces the base while its lock is held alone; empty: it can't be replaced.
[[nodiscard]] Result<BaseCheck> check_base(const ImageCacheOptions& options, const std::string& name, const Uuid& image_id,
                                           const CheckLimits& limits, const std::function<Result<void>()>& fetch_again);

}  // namespace ca
