// qcow2, versions 2 and 3 (qemu docs/interop/qcow2). Bounds beyond the format's own are those of qemu's
// block/qcow2.c.

#include "drivers/image/inspector/bytes.h"
#include "drivers/image/inspector/formats.h"

namespace ca::inspector {
namespace {

constexpr std::size_t kHeaderV2 = 72;
constexpr std::size_t kHeaderV3 = 104;
constexpr std::uint64_t kMaxL1Bytes = 32 << 20;
constexpr std::uint64_t kMaxRefcountTableBytes = 8 << 20;
constexpr std::uint32_t kMaxSnapshots = 65536;
constexpr int kMaxExtensions = 64;

constexpr std::uint64_t kDirty = 1 << 0;
constexpr std::uint64_t kCorrupt = 1 << 1;
constexpr std::uint64_t kDataFile = 1 << 2;
constexpr std::uint64_t kCompressionType = 1 << 3;
constexpr std::uint64_t kExtendedL2 = 1 << 4;
constexpr std::uint64_t kKnownIncompatible = kDirty | kCorrupt | kDataFile | kCompressionType | kExtendedL2;

struct Header {
  std::uint32_t version = 0;
  std::uint64_t length = 0;  // of the header; extensions follow
  std::uint64_t cluster = 0;
  std::uint64_t incompatible = 0;
};

// Version and length first: they say which other fields there are.
Result<Header> read_layout(const ByteSource& source) {
  CA_TRY(const Block start, read_block(source, 0, 8, "the qcow2 magic"));
  Header header{.version = start.be32(4)};
  if (header.version != 2 && header.version != 3) return refuse("its qcow2 version is {}, not 2 or 3", header.version);
  header.length = kHeaderV2;
  if (header.version == 3) {
    CA_TRY(const Block fixed, read_block(source, 0, kHeaderV3, "the version 3 header"));
    header.length = fixed.be32(100);
    header.incompatible = fixed.be64(72);
  }
  CA_TRY(const Block common, read_block(source, 0, kHeaderV2, "the qcow2 header"));
  const std::uint32_t cluster_bits = common.be32(20);
  if (cluster_bits < 9 || cluster_bits > 21) return refuse("its cluster_bits is {}, not 9 to 21", cluster_bits);
  header.cluster = std::uint64_t{1} << cluster_bits;
  if (header.version == 3 && (header.length < kHeaderV3 || header.length % 8 != 0 || header.length > header.cluster)) {
    return refuse("its header length is {}, not a multiple of 8 from {} to one cluster ({})", header.length, kHeaderV3, header.cluster);
  }
  return header;
}

Result<void> check_features(const ByteSource& source, const Header& header) {
  if (header.version == 2) return {};
  const std::uint64_t bits = header.incompatible;
  if ((bits & kDataFile) != 0) return refuse("it keeps its data in an external file (incompatible feature bit 2)");
  if ((bits & kCorrupt) != 0) return refuse("it is marked corrupt (incompatible feature bit 1)");
  if ((bits & ~kKnownIncompatible) != 0) return refuse("it has unknown incompatible features (bits {:#x})", bits & ~kKnownIncompatible);
  if ((bits & kExtendedL2) != 0 && header.cluster < (1 << 14)) {
    return refuse("it has extended L2 entries with clusters of {} bytes, less than 16384", header.cluster);
  }
  CA_TRY(const Block block, read_block(source, 0, header.length, "the qcow2 header"));
  const std::uint32_t refcount_order = block.be32(96);
  if (refcount_order > 6) return refuse("its refcount_order is {}, more than 6", refcount_order);
  const bool typed = (bits & kCompressionType) != 0;
  const std::uint8_t compression = header.length > kHeaderV3 ? block.u8(kHeaderV3) : 0;
  if (compression > 1 || typed != (compression != 0)) return refuse("its compression type {} is unknown or not announced", compression);
  return {};
}

Result<void> check_extensions(const ByteSource& source, const Header& header) {
  constexpr std::uint32_t kEnd = 0, kBackingFormat = 0xe2792aca, kDataFileName = 0x44415441, kCrypto = 0x0537be77;
  std::uint64_t at = header.length;
  for (int i = 0; i < kMaxExtensions; ++i) {
    if (header.cluster - at < 8) return {};  // qemu ends here too: the first cluster is full
    CA_TRY(const Block extension, read_block(source, at, 8, "a header extension"));
    const std::uint32_t type = extension.be32(0);
    const std::uint64_t length = extension.be32(4);
    at += 8;
    if (type == kEnd) return {};
    if (type == kBackingFormat) return refuse("it names the format of a backing file");
    if (type == kDataFileName) return refuse("it names an external data file");
    if (type == kCrypto) return refuse("it is encrypted");
    const std::uint64_t padded = ceil_div(length, 8) * 8;
    if (padded > header.cluster - at) {
      return refuse("its header extension {:#x} takes {} bytes, beyond the first cluster", type, length);
    }
    if (!fits(at, length, 1, static_cast<std::uint64_t>(source.size())))
      return refuse("truncated: its header extension {:#x} ends outside the file", type);
    at += padded;
  }
  return refuse("it has more than {} header extensions", kMaxExtensions);
}

// A table must be aligned to clusters, after the header and within the file.
Result<void> check_table(const char* name, std::uint64_t offset, std::uint64_t count, std::uint64_t item, const Header& header,
                         const ByteSource& source) {
  if (offset == 0 || offset % header.cluster != 0) return refuse("its {} is at offset {}, not at a cluster after the header", name, offset);
  if (!fits(offset, count, item, static_cast<std::uint64_t>(source.size()))) {
    return refuse("truncated: its {} at offset {} with {} entries of {} bytes ends outside the file of {} bytes", name, offset, count, item,
                  source.size());
  }
  return {};
}

Result<void> check_l1(const Block& block, const Header& header, const ByteSource& source) {
  const std::uint64_t size = block.be64(24);
  const std::uint64_t l2_entry = (header.incompatible & kExtendedL2) != 0 ? 16 : 8;
  // At most 2^21 * 2^18 = 2^39 bytes per L1 entry, so nothing here overflows.
  const std::uint64_t per_entry = header.cluster * (header.cluster / l2_entry);
  const std::uint64_t needed = ceil_div(size, per_entry);
  const std::uint64_t l1_size = block.be32(36);
  if (size == 0 || size > static_cast<std::uint64_t>(INT64_MAX)) return refuse("its virtual size is {} bytes", size);
  if (needed > kMaxL1Bytes / 8) return refuse("its virtual size of {} bytes is more than clusters of {} can have", size, header.cluster);
  if (l1_size < needed) return refuse("its L1 table has {} entries, but a virtual size of {} bytes needs {}", l1_size, size, needed);
  if (l1_size > kMaxL1Bytes / 8) return refuse("its L1 table has {} entries, more than {}", l1_size, kMaxL1Bytes / 8);
  return check_table("L1 table", block.be64(40), l1_size, 8, header, source);
}

Result<void> check_refcounts(const Block& block, const Header& header, const ByteSource& source) {
  const std::uint64_t clusters = block.be32(56);
  if (clusters == 0 || clusters > kMaxRefcountTableBytes / header.cluster) {
    return refuse("its refcount table has {} clusters of {} bytes, not 1 to {}", clusters, header.cluster,
                  kMaxRefcountTableBytes / header.cluster);
  }
  return check_table("refcount table", block.be64(48), clusters, header.cluster, header, source);
}

Result<void> check_snapshots(const Block& block, const Header& header, const ByteSource& source) {
  constexpr std::uint64_t kSmallestEntry = 40;
  const std::uint32_t count = block.be32(60);
  if (count == 0) return {};
  if (count > kMaxSnapshots) return refuse("it has {} internal snapshots, more than {}", count, kMaxSnapshots);
  return check_table("snapshot table", block.be64(64), count, kSmallestEntry, header, source);
}

}  // namespace

Result<ImageFacts> inspect_qcow2(const ByteSource& source) {
  CA_TRY(const Header header, read_layout(source));
  CA_TRY(const Block block, read_block(source, 0, kHeaderV2, "the qcow2 header"));
  if (block.be64(8) != 0) {
    return refuse("it has a backing file (name of {} bytes at offset {})", block.be32(16), block.be64(8));
  }
  if (block.be32(32) != 0) return refuse("it is encrypted (method {})", block.be32(32));
  CA_TRY_VOID(check_features(source, header));
  CA_TRY_VOID(check_l1(block, header, source));
  CA_TRY_VOID(check_refcounts(block, header, source));
  CA_TRY_VOID(check_snapshots(block, header, source));
  CA_TRY_VOID(check_extensions(source, header));
  return ImageFacts{.format = DiskFormat::kQcow2, .virtual_size_bytes = static_cast<std::int64_t>(block.be64(24))};
}

}  // namespace ca::inspector
