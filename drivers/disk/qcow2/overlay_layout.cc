#include "drivers/disk/qcow2/overlay_layout.h"

#include <fmt/format.h>

#include <cstring>
#include <string_view>

namespace ca {
namespace {

constexpr int kClusterBits = 16;
constexpr std::int64_t kCluster = std::int64_t{1} << kClusterBits;
constexpr std::int64_t kL2Entries = kCluster / 8;
constexpr std::int64_t kBytesPerL1Entry = kCluster * kL2Entries;      // 512 MiB
constexpr std::int64_t kMaxL1Entries = (std::int64_t{32} << 20) / 8;  // qemu's QCOW_MAX_L1_SIZE
constexpr std::size_t kMaxBackingName = 1023;
constexpr std::uint32_t kHeaderLength = 112;
constexpr std::uint32_t kRefcountOrder = 4;  // 16 bits

// Order of clusters: header, refcount table, one refcount block, L1 table.
constexpr std::int64_t kRefcountTableAt = kCluster;
constexpr std::int64_t kRefcountBlockAt = 2 * kCluster;
constexpr std::int64_t kL1At = 3 * kCluster;

// Appends big endian numbers and padded text.
class Writer {
 public:
  template <typename T>
  void put(T value) {
    for (int shift = (static_cast<int>(sizeof(T)) - 1) * 8; shift >= 0; shift -= 8) {
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> shift));
    }
  }
  void put_text(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
  }
  void pad_to(std::size_t multiple) { bytes_.resize((bytes_.size() + multiple - 1) / multiple * multiple); }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<std::byte> header(const OverlaySpec& spec, std::int64_t l1_entries) {
  constexpr std::uint32_t kBackingFormat = 0xe2792aca, kEnd = 0;
  const std::string_view format = to_string(spec.backing_format);
  // Header, backing format extension (8 + padded text), end extension (8), then the name.
  const std::uint64_t name_at = kHeaderLength + 8 + (format.size() + 7) / 8 * 8 + 8;
  Writer out;
  out.put_text("QFI\xfb");
  out.put(std::uint32_t{3});
  out.put(name_at);
  out.put(static_cast<std::uint32_t>(spec.backing_file.size()));
  out.put(std::uint32_t{kClusterBits});
  out.put(static_cast<std::uint64_t>(spec.size_bytes));
  out.put(std::uint32_t{0});  // no encryption
  out.put(static_cast<std::uint32_t>(l1_entries));
  out.put(static_cast<std::uint64_t>(kL1At));
  out.put(static_cast<std::uint64_t>(kRefcountTableAt));
  out.put(std::uint32_t{1});  // clusters of the refcount table
  out.put(std::uint32_t{0});  // snapshots
  out.put(std::uint64_t{0});
  out.put(std::uint64_t{0});  // incompatible, compatible, autoclear features
  out.put(std::uint64_t{0});
  out.put(std::uint64_t{0});
  out.put(kRefcountOrder);
  out.put(kHeaderLength);
  out.put(std::uint8_t{0});  // zlib
  out.pad_to(8);
  out.put(kBackingFormat);
  out.put(static_cast<std::uint32_t>(format.size()));
  out.put_text(format);
  out.pad_to(8);
  out.put(kEnd);
  out.put(std::uint32_t{0});
  out.put_text(spec.backing_file);
  return out.take();
}

Result<void> check(const OverlaySpec& spec) {
  if (spec.backing_format != DiskFormat::kRaw && spec.backing_format != DiskFormat::kQcow2) {
    return fail(Code::kInvalid, fmt::format("an overlay's backing format is raw or qcow2, not {}", to_string(spec.backing_format)));
  }
  // A name that does not start with "/" could be one of qemu's protocols ("nbd:...", "json:{...}").
  const std::string& name = spec.backing_file;
  if (!name.starts_with('/') || name.size() > kMaxBackingName || name.find('\0') != std::string::npos) {
    return fail(Code::kInvalid, fmt::format("an overlay's backing file is named by an absolute path of at most {} bytes, this one has {}",
                                            kMaxBackingName, name.size()));
  }
  if (spec.size_bytes <= 0 || spec.size_bytes % 512 != 0 || spec.size_bytes > kMaxL1Entries * kBytesPerL1Entry) {
    return fail(Code::kInvalid, fmt::format("an overlay's size is a multiple of 512 up to {} bytes, not {}",
                                            kMaxL1Entries * kBytesPerL1Entry, spec.size_bytes));
  }
  return {};
}

}  // namespace

Result<OverlayLayout> overlay_layout(const OverlaySpec& spec) {
  CA_TRY_VOID(check(spec));
  const std::int64_t l1_entries = (spec.size_bytes + kBytesPerL1Entry - 1) / kBytesPerL1Entry;
  const std::int64_t l1_clusters = (l1_entries * 8 + kCluster - 1) / kCluster;
  Writer table;
  table.put(static_cast<std::uint64_t>(kRefcountBlockAt));
  Writer block;  // each cluster in use is counted once; 32768 fit, more than the largest L1 table takes
  for (std::int64_t cluster = 0; cluster < kL1At / kCluster + l1_clusters; ++cluster) block.put(std::uint16_t{1});
  OverlayLayout layout;
  layout.pieces.push_back({0, header(spec, l1_entries)});
  layout.pieces.push_back({kRefcountTableAt, table.take()});
  layout.pieces.push_back({kRefcountBlockAt, block.take()});
  layout.file_size = kL1At + l1_entries * 8;
  return layout;
}

Result<std::int64_t> qcow2_virtual_size(std::span<const std::byte, 32> header) {
  const auto number = [&](std::size_t at, std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = at; i < at + bytes; ++i) value = value << 8 | static_cast<std::uint64_t>(header[i]);
    return value;
  };
  constexpr std::uint64_t kMagic = 0x514649fb;
  const std::uint64_t version = number(4, 4), size = number(24, 8);
  if (number(0, 4) != kMagic || version < 2 || version > 3 || size == 0 || size > INT64_MAX) {
    return fail(Code::kInvalid, "a disk that is recorded as qcow2 has no qcow2 header", "restore the disk from a backup");
  }
  return static_cast<std::int64_t>(size);
}

}  // namespace ca
