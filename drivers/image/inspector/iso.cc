#include "drivers/image/inspector/bytes.h"
#include "drivers/image/inspector/formats.h"
#include "drivers/image/inspector/magic.h"

namespace ca::inspector {

// ECMA-119: sixteen sectors of system area, then the primary volume descriptor. The system area may hold an
// MBR or GPT (hybrid).
Result<ImageFacts> inspect_iso(const ByteSource& source) {
  constexpr std::uint64_t kSectorSize = 2048;
  constexpr std::uint64_t kDescriptor = 16 * kSectorSize;
  constexpr std::uint8_t kPrimary = 1;
  CA_TRY(const Block block, read_block(source, kDescriptor, kSectorSize, "the primary volume descriptor"));
  if (block.text(1, 5) != "CD001") return refuse("there is no ISO 9660 volume descriptor at byte {}", kDescriptor);
  if (block.u8(0) != kPrimary) return refuse("its first volume descriptor is of type {}, not the primary one (1)", block.u8(0));
  if (block.u8(6) != 1) return refuse("its volume descriptor has version {}, not 1", block.u8(6));
  const std::uint64_t block_size = block.le16(128);
  if (block_size != kSectorSize || block.be16(130) != block_size) {
    return refuse("its logical block size is {}, not {}", block_size, kSectorSize);
  }
  const std::uint64_t blocks = block.le32(80);
  if (blocks != block.be32(84)) return refuse("its volume size is {} blocks in one byte order and {} in the other", blocks, block.be32(84));
  if (!fits(0, blocks, block_size, static_cast<std::uint64_t>(source.size()))) {
    return refuse("truncated: its volume takes {} bytes, but the file has {}", blocks * block_size, source.size());
  }
  CA_TRY(const Mark end, mark_at_end(source));
  if (!end.name.empty()) return refuse("its last sector is that of a {} image", end.name);
  return ImageFacts{.format = DiskFormat::kIso, .virtual_size_bytes = source.size()};
}

}  // namespace ca::inspector
