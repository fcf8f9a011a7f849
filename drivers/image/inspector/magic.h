#pragma once
// What a file's bytes claim to be, by the same marks that qemu's own probing goes by (block/*.c, *_probe).

#include <string_view>

#include "drivers/image.h"

namespace ca::inspector {

struct Mark {
  std::string_view name;                     // "qcow2", "LUKS", "VMDK descriptor", ...; empty: none
  DiskFormat format = DiskFormat::kUnknown;  // kUnknown for those that no image may be registered as
};

// The container format at the start of the file.
[[nodiscard]] Result<Mark> mark_at_start(const ByteSource& source);
// The container format that the last 512 bytes give away (fixed VHD, DMG).
[[nodiscard]] Result<Mark> mark_at_end(const ByteSource& source);

}  // namespace ca::inspector
