// VMDK sparse extents with an embedded descriptor (VMware Virtual Disk Format 5.0; qemu block/vmdk.c). Little
// endian, in sectors.

#include <algorithm>

#include "drivers/image/inspector/bytes.h"
#include "drivers/image/inspector/formats.h"
#include "drivers/image/inspector/vmdk_descriptor.h"

namespace ca::inspector {
namespace {

constexpr std::uint64_t kDescriptorSector = 1;  // qemu reads it there whatever the header says
constexpr std::uint64_t kMaxDescriptorSectors = 2048;
constexpr std::uint64_t kQemuDescriptorBytes = std::uint64_t{20} * 512;
constexpr std::uint64_t kDirectoryAtEnd = ~std::uint64_t{0};
constexpr std::uint32_t kHasRedundantDirectory = 1 << 1;

struct Header {
  std::uint32_t version, flags;
  std::uint64_t capacity, grain, descriptor_at, descriptor_size;
  std::uint32_t entries_per_table;
  std::uint64_t redundant_directory, directory, overhead;
  std::uint16_t compression;
};

Header parse(const Block& block) {
  return {.version = block.le32(4),
          .flags = block.le32(8),
          .capacity = block.le64(12),
          .grain = block.le64(20),
          .descriptor_at = block.le64(28),
          .descriptor_size = block.le64(36),
          .entries_per_table = block.le32(44),
          .redundant_directory = block.le64(48),
          .directory = block.le64(56),
          .overhead = block.le64(64),
          .compression = block.le16(77)};
}

Result<void> check_geometry(const Header& header) {
  if (header.version < 1 || header.version > 3) return refuse("its VMDK version is {}, not 1 to 3", header.version);
  // With a capacity of 0 qemu follows the descriptor's extents instead.
  if (header.capacity == 0 || header.capacity > static_cast<std::uint64_t>(INT64_MAX) / kSector) {
    return refuse("its capacity is {} sectors", header.capacity);
  }
  if (header.grain == 0 || header.grain > 0x200000) return refuse("its grain size is {} sectors, not 1 to 2097152", header.grain);
  if (header.entries_per_table == 0 || header.entries_per_table > 512) {
    return refuse("its grain tables have {} entries, not 1 to 512", header.entries_per_table);
  }
  if (header.compression > 1) return refuse("its compression method {} is unknown", header.compression);
  return {};
}

// The directory of grain tables at `sector` lies within the file.
Result<void> check_directory(const Header& header, std::uint64_t sector, const ByteSource& source) {
  const std::uint64_t entries = ceil_div(header.capacity, header.grain * header.entries_per_table);
  const auto file = static_cast<std::uint64_t>(source.size());
  if (sector > file / kSector || !fits(sector * kSector, entries, 4, file)) {
    return refuse("truncated: its grain directory of {} entries at sector {} ends outside the file of {} bytes", entries, sector, file);
  }
  return {};
}

Result<void> check_descriptor(const Header& header, const ByteSource& source) {
  if (header.descriptor_at != kDescriptorSector || header.descriptor_size == 0 || header.descriptor_size > kMaxDescriptorSectors) {
    return refuse("its descriptor takes {} sectors at sector {}, not 1 to {} at sector {}", header.descriptor_size, header.descriptor_at,
                  kMaxDescriptorSectors, kDescriptorSector);
  }
  CA_TRY(const Block text, read_block(source, kDescriptorSector * kSector, header.descriptor_size * kSector, "the VMDK descriptor"));
  CA_TRY_VOID(check_vmdk_descriptor(text.text()));
  // qemu looks for the parent's name in the first 20 sectors from there, beyond the descriptor's end too.
  const auto rest = static_cast<std::uint64_t>(source.size()) - kDescriptorSector * kSector;
  CA_TRY(const Block seen_by_qemu,
         read_block(source, kDescriptorSector * kSector, std::min(rest, kQemuDescriptorBytes), "the VMDK descriptor"));
  if (seen_by_qemu.text().find("parentFileNameHint") != std::string_view::npos)
    return refuse("it names a parent image outside its descriptor");
  return {};
}

// A stream-optimised file may end with footer marker, a second header that replaces the first, and
// end-of-stream marker.
Result<Header> read_footer(const Header& header, const ByteSource& source) {
  constexpr std::uint64_t kFooter = 3 * kSector;
  constexpr std::uint32_t kFooterMarker = 3;
  const auto file = static_cast<std::uint64_t>(source.size());
  if (file % kSector != 0 || file < kFooter) return refuse("truncated: it has {} bytes, which do not end with a footer", file);
  CA_TRY(const Block marker, read_block(source, file - kFooter, kSector, "the footer marker"));
  CA_TRY(const Block block, read_block(source, file - 2 * kSector, kSector, "the footer"));
  CA_TRY(const Block end, read_block(source, file - kSector, kSector, "the end-of-stream marker"));
  if (marker.le32(8) != 0 || marker.le32(12) != kFooterMarker || block.text(0, 4) != "KDMV" || !end.zero(0, 16)) {
    return refuse("truncated: its last three sectors are not a footer");
  }
  const Header footer = parse(block);
  if (footer.capacity != header.capacity || footer.grain != header.grain || footer.descriptor_at != header.descriptor_at ||
      footer.descriptor_size != header.descriptor_size) {
    return refuse("its header and its footer differ");
  }
  if (footer.directory == kDirectoryAtEnd) return refuse("its footer does not say where the grain directory is");
  return footer;
}

}  // namespace

Result<ImageFacts> inspect_vmdk(const ByteSource& source) {
  CA_TRY(const Block block, read_block(source, 0, kSector, "the VMDK header"));
  Header header = parse(block);
  CA_TRY_VOID(check_geometry(header));
  CA_TRY_VOID(check_descriptor(header, source));
  if (header.directory == kDirectoryAtEnd) {
    CA_TRY(header, read_footer(header, source));
    CA_TRY_VOID(check_geometry(header));
  }
  CA_TRY_VOID(check_directory(header, header.directory, source));
  if ((header.flags & kHasRedundantDirectory) != 0) CA_TRY_VOID(check_directory(header, header.redundant_directory, source));
  if (header.overhead > static_cast<std::uint64_t>(source.size()) / kSector) {
    return refuse("truncated: its metadata takes {} sectors, but the file has {} bytes", header.overhead, source.size());
  }
  return ImageFacts{.format = DiskFormat::kVmdk, .virtual_size_bytes = static_cast<std::int64_t>(header.capacity * kSector)};
}

}  // namespace ca::inspector
