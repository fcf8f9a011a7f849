#pragma once
// The form in which the fuzzer mutates an image: short, although offsets in images are far apart.
//
//   byte 0      registered format (low 4 bits), bit 7: compute checksums anew, so that mutations get past
//   them bytes 1-6   size of the file, little endian then pieces: offset (6 bytes), length (2 bytes), content

#include <cstdint>
#include <span>
#include <string>

#include "agent/core/values.h"
#include "tests/data/sparse_image.h"

namespace ca::testing {

struct InspectorInput {
  DiskFormat registered = DiskFormat::kUnknown;
  bool seal = false;
  SparseImage image{0};
};

[[nodiscard]] std::string encode_input(const InspectorInput& input);
// Any bytes make an input. The checksums are already computed anew when it asks for that.
[[nodiscard]] InspectorInput decode_input(std::span<const std::uint8_t> bytes);

}  // namespace ca::testing
