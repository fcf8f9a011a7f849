#pragma once
// The bytes of an empty qcow2 version 3 overlay (qemu docs/interop/qcow2), as `qemu-img create -f qcow2 -F
// <format> -b <base>` makes it: clusters of 64 KiB, refcounts of 16 bits, backing format recorded. Pure.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "agent/core/values.h"

namespace ca {

struct OverlaySpec {
  std::string backing_file;  // absolute path, at most 1023 bytes
  DiskFormat backing_format = DiskFormat::kRaw;
  std::int64_t size_bytes = 0;  // a multiple of 512
};

struct OverlayPiece {
  std::int64_t offset = 0;
  std::vector<std::byte> bytes;
};

// What lies between and behind the pieces is zero.
struct OverlayLayout {
  std::vector<OverlayPiece> pieces;
  std::int64_t file_size = 0;
};

// kInvalid names the value that makes no overlay.
[[nodiscard]] Result<OverlayLayout> overlay_layout(const OverlaySpec& spec);

// The virtual size in a header's first 32 bytes. kInvalid: not a qcow2 header of version 2 or 3, or a size that makes no sense.
[[nodiscard]] Result<std::int64_t> qcow2_virtual_size(std::span<const std::byte, 32> header);

}  // namespace ca
