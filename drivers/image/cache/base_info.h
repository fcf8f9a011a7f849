#pragma once
// What is known of a base beyond its bytes: "<base>.info", JSON, beside it. Files of this name were nova's own once; its cache manager
// passes over them.

#include <optional>
#include <string>

#include "drivers/image.h"

namespace ca {

struct BaseInfo {
  std::string sha256;  // base_digest()
  std::int64_t size_bytes = 0;
  Uuid image_id;
  std::int64_t checked_us = 0;
  bool damaged = false;
};

// None: there is no such file, or nothing in it that makes sense (it is written anew then).
[[nodiscard]] Result<std::optional<BaseInfo>> read_base_info(const std::string& base_path);
// Only by who holds the base's lock alone.
[[nodiscard]] Result<void> write_base_info(const std::string& base_path, const BaseInfo& info);
[[nodiscard]] Result<void> remove_base_info(const std::string& base_path);

// sha256 over offset and bytes of every block of 64 KiB that is not all zeros: the same for every copy of one content, whatever holes
// it has, and no work for holes.
[[nodiscard]] Result<std::string> base_digest(int fd, const std::string& path, std::int64_t size, const CheckLimits& limits);

}  // namespace ca
