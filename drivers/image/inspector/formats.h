#pragma once
// One function per format. Each gets a file that carries (or should carry) its magic, and answers the facts
// or refuses.

#include "drivers/image.h"

namespace ca::inspector {

[[nodiscard]] Result<ImageFacts> inspect_raw(const ByteSource& source);
[[nodiscard]] Result<ImageFacts> inspect_qcow2(const ByteSource& source);
[[nodiscard]] Result<ImageFacts> inspect_vmdk(const ByteSource& source);
[[nodiscard]] Result<ImageFacts> inspect_vdi(const ByteSource& source);
[[nodiscard]] Result<ImageFacts> inspect_vhd(const ByteSource& source);
[[nodiscard]] Result<ImageFacts> inspect_vhdx(const ByteSource& source);
[[nodiscard]] Result<ImageFacts> inspect_iso(const ByteSource& source);

}  // namespace ca::inspector
