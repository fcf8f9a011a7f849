#pragma once
// What must hold of the inspector's answer for any input. Checked by the mutation tests and by the fuzzer.

#include <string>

#include "agent/core/values.h"
#include "tests/data/sparse_image.h"

namespace ca::testing {

// The invariant that the inspector's answer breaks; empty when all hold.
[[nodiscard]] std::string broken_invariant(DiskFormat registered, const SparseImage& image);

}  // namespace ca::testing
