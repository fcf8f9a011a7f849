// VirtualBox VDI 1.1 (qemu block/vdi.c). Little endian.

#include "drivers/image/inspector/bytes.h"
#include "drivers/image/inspector/formats.h"

namespace ca::inspector {
namespace {

constexpr std::size_t kHeader = 512;
constexpr std::size_t kLengthCountsFrom = 0x48;
constexpr std::uint32_t kShortestHeader = 0x180;  // up to the parent's uuid
constexpr std::uint64_t kBlockSize = 1 << 20;

Result<void> check_kind(const Block& header) {
  if (header.le32(0x44) != 0x00010001) {
    return refuse("its VDI version is {}.{}, not 1.1", header.le32(0x44) >> 16, header.le32(0x44) & 0xffff);
  }
  const std::uint32_t length = header.le32(0x48);
  if (length < kShortestHeader || length > kHeader - kLengthCountsFrom) {
    return refuse("its header length is {}, not {} to {}", length, kShortestHeader, kHeader - kLengthCountsFrom);
  }
  const std::uint32_t type = header.le32(0x4c);
  if (type != 1 && type != 2) return refuse("its image type is {}, neither dynamic (1) nor fixed (2)", type);
  if (!header.zero(0x1a8, 16) || !header.zero(0x1b8, 16)) return refuse("it depends on a parent image");
  return {};
}

}  // namespace

Result<ImageFacts> inspect_vdi(const ByteSource& source) {
  CA_TRY(const Block header, read_block(source, 0, kHeader, "the VDI header"));
  CA_TRY_VOID(check_kind(header));
  if (header.le32(0x168) != kSector) return refuse("its sector size is {}, not {}", header.le32(0x168), kSector);
  if (header.le32(0x178) != kBlockSize) return refuse("its block size is {}, not {}", header.le32(0x178), kBlockSize);
  if (header.le32(0x17c) != 0) return refuse("its blocks have {} extra bytes each", header.le32(0x17c));
  const std::uint64_t size = header.le64(0x170);
  const std::uint64_t blocks = header.le32(0x180);
  if (size == 0 || size > blocks * kBlockSize) return refuse("its virtual size of {} bytes does not fit into its {} blocks", size, blocks);
  const std::uint64_t allocated = header.le32(0x184);
  if (allocated > blocks) return refuse("it has {} blocks allocated of {}", allocated, blocks);
  const std::uint64_t map = header.le32(0x154);
  const std::uint64_t data = header.le32(0x158);
  const auto file = static_cast<std::uint64_t>(source.size());
  if (map < kHeader || map % kSector != 0 || !fits(map, blocks, 4, data)) {
    return refuse("its block map of {} entries at offset {} does not lie between the header and the data at {}", blocks, map, data);
  }
  if (data % kSector != 0 || data > file) return refuse("truncated: its data starts at offset {}, but the file has {} bytes", data, file);
  return ImageFacts{.format = DiskFormat::kVdi, .virtual_size_bytes = static_cast<std::int64_t>(size)};
}

}  // namespace ca::inspector
