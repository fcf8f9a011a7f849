#pragma once
// The text part of a VMDK file.

#include <string>
#include <string_view>

#include "agent/core/error.h"

namespace ca::inspector {

// Checks that the descriptor is one that refers to nothing but the file it is in: createType monolithicSparse
// or streamOptimized, one SPARSE extent named without a path, no parent. Every line must be understood, else
// kUnsafe.
[[nodiscard]] Result<void> check_vmdk_descriptor(std::string_view text);

}  // namespace ca::inspector
