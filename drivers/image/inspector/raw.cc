#include "drivers/image/inspector/bytes.h"
#include "drivers/image/inspector/formats.h"
#include "drivers/image/inspector/magic.h"

namespace ca::inspector {

// Raw bytes are whatever the guest makes of them (MBR, GPT, a file system, an ISO hybrid); only what a later
// probe could take for a container is refused, which the dispatcher has done for the file's start.
Result<ImageFacts> inspect_raw(const ByteSource& source) {
  CA_TRY(const Mark end, mark_at_end(source));
  if (!end.name.empty()) return refuse("its last sector is that of a {} image", end.name);
  return ImageFacts{.format = DiskFormat::kRaw, .virtual_size_bytes = source.size()};
}

}  // namespace ca::inspector
