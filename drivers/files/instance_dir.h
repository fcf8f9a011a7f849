#pragma once
// The directory of one instance and the small files in it.

#include <string>
#include <string_view>

#include "agent/core/error.h"

namespace ca {

// Complete and durable, or not there (temp file, fsync, rename).
[[nodiscard]] Result<void> write_text_file(const std::string& path, std::string_view text, unsigned mode);

// Removes a directory with all that is in it; never follows a link. It is renamed to "<path>_del" first, so that a half-removed
// directory is never taken for an instance's. Nothing there is success.
[[nodiscard]] Result<void> remove_tree(const std::string& path);

// The last `max_bytes` of a file, fewer when it is shorter; empty when there is none.
[[nodiscard]] Result<std::string> read_tail(const std::string& path, std::size_t max_bytes);

}  // namespace ca
