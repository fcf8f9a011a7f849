#pragma once
// The API's token: 64 hex digits in a file that only its owner reads.

#include <string>

#include "agent/core/error.h"

namespace ca {

// Reads the file, or makes it with a new token (0600). kForbidden when others can read it.
[[nodiscard]] Result<std::string> load_or_make_token(const std::string& path);

}  // namespace ca
