#pragma once
// Bounded reading of on-disk structures. Fields are loaded from a block that was read whole before.

#include <fmt/format.h>

#include <cassert>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "drivers/image.h"

namespace ca::inspector {

inline constexpr std::int64_t kSector = 512;

class Block {
 public:
  explicit Block(std::size_t size) : bytes_(size) {}

  [[nodiscard]] std::span<std::byte> span() { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::uint8_t u8(std::size_t at) const { return static_cast<std::uint8_t>(load<1, false>(at)); }
  [[nodiscard]] std::uint16_t le16(std::size_t at) const { return static_cast<std::uint16_t>(load<2, false>(at)); }
  [[nodiscard]] std::uint32_t le32(std::size_t at) const { return static_cast<std::uint32_t>(load<4, false>(at)); }
  [[nodiscard]] std::uint64_t le64(std::size_t at) const { return load<8, false>(at); }
  [[nodiscard]] std::uint16_t be16(std::size_t at) const { return static_cast<std::uint16_t>(load<2, true>(at)); }
  [[nodiscard]] std::uint32_t be32(std::size_t at) const { return static_cast<std::uint32_t>(load<4, true>(at)); }
  [[nodiscard]] std::uint64_t be64(std::size_t at) const { return load<8, true>(at); }
  [[nodiscard]] std::string_view text(std::size_t at, std::size_t length) const {
    assert(at + length <= bytes_.size());
    return {reinterpret_cast<const char*>(bytes_.data()) + at, length};
  }
  [[nodiscard]] std::string_view text() const { return text(0, bytes_.size()); }
  [[nodiscard]] bool zero(std::size_t at, std::size_t length) const {
    return text(at, length).find_first_not_of('\0') == std::string_view::npos;
  }

 private:
  template <std::size_t kSize, bool kBigEndian>
  [[nodiscard]] std::uint64_t load(std::size_t at) const {
    assert(at + kSize <= bytes_.size());
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < kSize; ++i) {
      const std::size_t digit = kBigEndian ? i : kSize - 1 - i;
      value = value << 8 | std::to_integer<std::uint64_t>(bytes_[at + digit]);
    }
    return value;
  }

  std::vector<std::byte> bytes_;
};

// `size` bytes at `offset`, which must lie within the file, else kUnsafe: "truncated".
[[nodiscard]] inline Result<Block> read_block(const ByteSource& source, std::uint64_t offset, std::size_t size, std::string_view what) {
  const auto file = static_cast<std::uint64_t>(source.size());
  if (offset > file || file - offset < size) {
    return fail(Code::kUnsafe,
                fmt::format("truncated: {} takes {} bytes at offset {}, but the file has {} bytes", what, size, offset, file));
  }
  Block block(size);
  CA_TRY_VOID(source.read_at(static_cast<std::int64_t>(offset), block.span()));
  return block;
}

// Whether [offset, offset + count * item) lies within `end` bytes; no step overflows.
[[nodiscard]] inline bool fits(std::uint64_t offset, std::uint64_t count, std::uint64_t item, std::uint64_t end) {
  std::uint64_t bytes = 0;
  return !__builtin_mul_overflow(count, item, &bytes) && offset <= end && end - offset >= bytes;
}

[[nodiscard]] inline std::uint64_t ceil_div(std::uint64_t value, std::uint64_t by) { return value / by + (value % by != 0); }

// kUnsafe with a formatted reason.
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::kUnsafe, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace ca::inspector
