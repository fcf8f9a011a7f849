// VHD ("vpc" in qemu; Virtual Hard Disk Image Format Specification 1.0). Big endian. A fixed disk has only
// the footer in its last sector; a dynamic one has a copy of it in front and a header that the copy points
// to.

#include "drivers/image/inspector/bytes.h"
#include "drivers/image/inspector/formats.h"

namespace ca::inspector {
namespace {

constexpr std::size_t kFooter = 512;
constexpr std::size_t kDynamicHeader = 1024;
constexpr std::uint32_t kFixed = 2, kDynamic = 3, kDifferencing = 4;
constexpr std::uint64_t kLargestDisk = std::uint64_t{2040} << 30;  // the format's own bound

// Ones' complement of the sum of all bytes but the checksum's own four.
bool checksum_matches(const Block& block, std::size_t at) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (i < at || i >= at + 4) sum += block.u8(i);
  }
  return ~sum == block.be32(at);
}

// qemu takes the size from the CHS geometry, except for programs known to fill in the size rightly, or when
// the geometry is full.
std::uint64_t virtual_size(const Block& footer) {
  constexpr std::uint64_t kFullGeometry = std::uint64_t{65535} * 16 * 255;
  const std::uint64_t sectors = std::uint64_t{footer.be16(56)} * footer.u8(58) * footer.u8(59);
  const auto creator = footer.text(28, 4);
  const bool by_size = creator == "win " || creator == "qem2" || creator == "d2v " || creator == "CTXS" || creator.starts_with("tap");
  return by_size || sectors == kFullGeometry ? footer.be64(48) : sectors * kSector;
}

Result<void> check_footer(const Block& footer) {
  if (footer.text(0, 8) != "conectix") return refuse("there is no VHD footer");
  if (footer.be32(12) != 0x00010000) return refuse("its VHD version is {:#x}, not 0x10000", footer.be32(12));
  if (!checksum_matches(footer, 64)) return refuse("the checksum of its footer does not match");
  const std::uint32_t type = footer.be32(60);
  if (type == kDifferencing) return refuse("it is a differencing disk: it has a parent image");
  if (type != kFixed && type != kDynamic) return refuse("its disk type is {}, neither fixed (2) nor dynamic (3)", type);
  const std::uint64_t size = virtual_size(footer);
  if (size == 0 || size > kLargestDisk || size % kSector != 0) return refuse("its virtual size is {} bytes", size);
  return {};
}

Result<void> check_dynamic(const Block& footer, const ByteSource& source) {
  CA_TRY(const Block header, read_block(source, footer.be64(16), kDynamicHeader, "the dynamic disk header"));
  if (header.text(0, 8) != "cxsparse") return refuse("there is no dynamic disk header at offset {}", footer.be64(16));
  if (header.be32(24) != 0x00010000) return refuse("its dynamic disk header has version {:#x}, not 0x10000", header.be32(24));
  if (!checksum_matches(header, 36)) return refuse("the checksum of its dynamic disk header does not match");
  if (!header.zero(40, 16) || !header.zero(64, 512) || !header.zero(576, 192)) return refuse("it names a parent image");
  const std::uint64_t block_size = header.be32(32);
  if (block_size < kSector || (block_size & (block_size - 1)) != 0)
    return refuse("its block size is {}, not a power of two of 512 or more", block_size);
  const std::uint64_t blocks = header.be32(28);
  const std::uint64_t size = virtual_size(footer);
  if (blocks < ceil_div(size, block_size)) {
    return refuse("its block table has {} entries of {} bytes, too few for a virtual size of {} bytes", blocks, block_size, size);
  }
  if (!fits(header.be64(16), blocks, 4, static_cast<std::uint64_t>(source.size()))) {
    return refuse("truncated: its block table of {} entries at offset {} ends outside the file of {} bytes", blocks, header.be64(16),
                  source.size());
  }
  return {};
}

// The last sector; the copy in front says the same.
Result<Block> read_footer(const ByteSource& source, bool dynamic) {
  const auto size = static_cast<std::uint64_t>(source.size());
  if (size < kFooter) return refuse("truncated: the VHD footer takes {} bytes, but the file has {}", kFooter, size);
  CA_TRY(Block last, read_block(source, size - kFooter, kFooter, "the VHD footer"));
  CA_TRY_VOID(check_footer(last));
  if (!dynamic) return last;
  CA_TRY(Block first, read_block(source, 0, kFooter, "the copy of the VHD footer"));
  CA_TRY_VOID(check_footer(first));
  if (first.text() != last.text()) return refuse("its footer and the copy in front differ");
  return last;
}

}  // namespace

Result<ImageFacts> inspect_vhd(const ByteSource& source) {
  CA_TRY(const Block start, read_block(source, 0, 8, "the VHD magic"));
  const bool starts_with_copy = start.text() == "conectix";
  CA_TRY(const Block footer, read_footer(source, starts_with_copy));
  const std::uint64_t size = virtual_size(footer);
  if ((footer.be32(60) == kDynamic) != starts_with_copy) return refuse("its disk type is {}, which its start contradicts", footer.be32(60));
  if (starts_with_copy) {
    CA_TRY_VOID(check_dynamic(footer, source));
  } else if (!fits(0, size, 1, static_cast<std::uint64_t>(source.size()) - kFooter)) {
    return refuse("truncated: its virtual size is {} bytes, but the file has {}", size, source.size());
  }
  return ImageFacts{.format = DiskFormat::kVhd, .virtual_size_bytes = static_cast<std::int64_t>(size)};
}

}  // namespace ca::inspector
