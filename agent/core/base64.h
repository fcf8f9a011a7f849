#pragma once
// Base64 (RFC 4648, section 4).

#include <string>
#include <string_view>

#include "agent/core/error.h"

namespace ca {

[[nodiscard]] std::string base64_encode(std::string_view bytes);
// Strict: the standard alphabet, padded, no white space, no stray bits. kInvalid otherwise.
[[nodiscard]] Result<std::string> base64_decode(std::string_view text);

}  // namespace ca
