// VHDX ([MS-VHDX] 1.0; qemu block/vhdx.c). Little endian. Two headers of which the newer counts, a region
// table that says where the block table (BAT) and the metadata are, a metadata table that says where the
// sizes are.

#include <array>
#include <optional>
#include <string_view>

#include "drivers/image/inspector/bytes.h"
#include "drivers/image/inspector/crc32c.h"
#include "drivers/image/inspector/formats.h"

namespace ca::inspector {
namespace {

using namespace std::string_view_literals;

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB;
constexpr std::size_t kHeader = 4096;
constexpr std::size_t kTable = 64 * kKiB;
constexpr std::uint32_t kMaxEntries = 2047;
constexpr std::uint64_t kLargestDisk = std::uint64_t{64} << 40;  // the format's own bound

// GUIDs as they lie on the disk.
constexpr auto kBatRegion = "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08"sv;
constexpr auto kMetadataRegion = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"sv;
constexpr auto kFileParameters = "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b"sv;
constexpr auto kVirtualDiskSize = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"sv;
constexpr auto kPage83 = "\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46"sv;
constexpr auto kLogicalSector = "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f"sv;
constexpr auto kPhysicalSector = "\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56"sv;
constexpr auto kParentLocator = "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"sv;

// Over the whole block, with the checksum's own four bytes (at 4) as zero.
bool checksum_matches(const Block& block) {
  constexpr std::array<std::byte, 4> kZeros{};
  const auto bytes = std::as_bytes(std::span(block.text()));
  std::uint32_t crc = crc32c(~0U, bytes.first(4));
  crc = crc32c(crc, kZeros);
  crc = crc32c(crc, bytes.subspan(8));
  return ~crc == block.le32(4);
}

bool header_valid(const Block& header) { return header.text(0, 4) == "head" && header.le16(66) == 1 && checksum_matches(header); }

// The newer of the valid headers must say that the log is empty: qemu-img opens images read-only and could
// not replay it.
Result<void> check_headers(const ByteSource& source) {
  CA_TRY(const Block first, read_block(source, 64 * kKiB, kHeader, "the first VHDX header"));
  CA_TRY(const Block second, read_block(source, 128 * kKiB, kHeader, "the second VHDX header"));
  const bool first_valid = header_valid(first);
  const bool second_valid = header_valid(second);
  if (!first_valid && !second_valid) return refuse("neither of its two headers is a valid one of version 1");
  const bool use_second = second_valid && (!first_valid || second.le64(8) > first.le64(8));
  const Block& header = use_second ? second : first;
  if (!header.zero(48, 16)) return refuse("it was not closed cleanly: its log has entries");
  return {};
}

struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

struct Regions {
  Extent bat, metadata;
};

Result<Regions> read_regions(const ByteSource& source) {
  CA_TRY(const Block table, read_block(source, 192 * kKiB, kTable, "the region table"));
  if (table.text(0, 4) != "regi" || !checksum_matches(table)) return refuse("its region table is not valid");
  const std::uint32_t count = table.le32(8);
  if (count > kMaxEntries) return refuse("its region table has {} entries, more than {}", count, kMaxEntries);
  std::optional<Extent> bat, metadata;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t at = 16 + std::size_t{i} * 32;
    const auto guid = table.text(at, 16);
    const Extent extent{table.le64(at + 16), table.le32(at + 24)};
    if (guid != kBatRegion && guid != kMetadataRegion) {
      if ((table.le32(at + 28) & 1) != 0) return refuse("it requires an unknown region (entry {})", i);
      continue;
    }
    auto& slot = guid == kBatRegion ? bat : metadata;
    if (slot) return refuse("its region table names a region twice (entry {})", i);
    if (extent.offset < kMiB || extent.offset % kMiB != 0 ||
        !fits(extent.offset, extent.length, 1, static_cast<std::uint64_t>(source.size()))) {
      return refuse("truncated: its region of {} bytes at offset {} does not lie within the file of {} bytes", extent.length, extent.offset,
                    source.size());
    }
    slot = extent;
  }
  if (!bat || !metadata) return refuse("its region table lacks the {} region", bat ? "metadata" : "BAT");
  return Regions{*bat, *metadata};
}

struct Sizes {
  std::optional<std::uint64_t> disk;
  std::optional<std::uint32_t> block, parameters, logical_sector;
};

Result<void> read_item(const Block& table, std::size_t at, const Extent& metadata, const ByteSource& source, Sizes& sizes) {
  const auto guid = table.text(at, 16);
  if (guid == kParentLocator) return refuse("it names a parent image");
  const bool needed = guid == kFileParameters || guid == kVirtualDiskSize || guid == kLogicalSector;
  if (!needed) {
    const bool known = guid == kPage83 || guid == kPhysicalSector;
    const bool required = (table.le32(at + 24) & 4) != 0;
    if (!known && required) return refuse("it requires unknown metadata");
    return {};
  }
  const std::uint64_t offset = table.le32(at + 16);
  const std::size_t size = guid == kLogicalSector ? 4 : 8;
  if (offset < kTable || !fits(offset, size, 1, metadata.length))
    return refuse("its metadata item at {} is outside the metadata region", offset);
  CA_TRY(const Block item, read_block(source, metadata.offset + offset, size, "a metadata item"));
  if (guid == kVirtualDiskSize) {
    if (sizes.disk) return refuse("it gives its virtual size twice");
    sizes.disk = item.le64(0);
  } else if (guid == kFileParameters) {
    if (sizes.block) return refuse("it gives its file parameters twice");
    sizes.block = item.le32(0);
    sizes.parameters = item.le32(4);
  } else {
    if (sizes.logical_sector) return refuse("it gives its sector size twice");
    sizes.logical_sector = item.le32(0);
  }
  return {};
}

Result<Sizes> read_sizes(const ByteSource& source, const Extent& metadata) {
  if (metadata.length < kTable) return refuse("its metadata region has {} bytes, less than {}", metadata.length, kTable);
  CA_TRY(const Block table, read_block(source, metadata.offset, kTable, "the metadata table"));
  if (table.text(0, 8) != "metadata") return refuse("its metadata table is not valid");
  const std::uint32_t count = table.le16(10);
  if (count > kMaxEntries) return refuse("its metadata table has {} entries, more than {}", count, kMaxEntries);
  Sizes sizes;
  for (std::uint32_t i = 0; i < count; ++i) CA_TRY_VOID(read_item(table, 32 + std::size_t{i} * 32, metadata, source, sizes));
  if (!sizes.disk || !sizes.block || !sizes.logical_sector)
    return refuse("its metadata lacks the virtual size, file parameters or sector size");
  return sizes;
}

Result<void> check_sizes(const Sizes& sizes, const Extent& bat) {
  constexpr std::uint64_t kSectorsPerBitmap = 1 << 23;
  if ((*sizes.parameters & 2) != 0) return refuse("it is a differencing disk: it has a parent image");
  const std::uint64_t block = *sizes.block;
  if (block < kMiB || block > 256 * kMiB || (block & (block - 1)) != 0) {
    return refuse("its block size is {}, not a power of two from 1 to 256 MiB", block);
  }
  const std::uint64_t sector = *sizes.logical_sector;
  if (sector != 512 && sector != 4096) return refuse("its logical sector size is {}, neither 512 nor 4096", sector);
  const std::uint64_t disk = *sizes.disk;
  if (disk == 0 || disk % sector != 0 || disk > kLargestDisk) return refuse("its virtual size is {} bytes", disk);
  const std::uint64_t blocks = ceil_div(disk, block);
  const std::uint64_t entries = blocks + (blocks - 1) / (kSectorsPerBitmap * sector / block);
  if (!fits(0, entries, 8, bat.length)) {
    return refuse("its BAT has {} bytes, too few for {} entries", bat.length, entries);
  }
  return {};
}

}  // namespace

Result<ImageFacts> inspect_vhdx(const ByteSource& source) {
  CA_TRY_VOID(check_headers(source));
  CA_TRY(const Regions regions, read_regions(source));
  CA_TRY(const Sizes sizes, read_sizes(source, regions.metadata));
  CA_TRY_VOID(check_sizes(sizes, regions.bat));
  return ImageFacts{.format = DiskFormat::kVhdx, .virtual_size_bytes = static_cast<std::int64_t>(*sizes.disk)};
}

}  // namespace ca::inspector
