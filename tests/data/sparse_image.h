#pragma once
// An image in memory that stores only what was put into it: crafted headers with honest offsets, however far
// apart.

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "drivers/image.h"

namespace ca::testing {

class SparseImage final : public ByteSource {
 public:
  static constexpr std::int64_t kPage = 512;
  using Page = std::array<std::byte, kPage>;

  explicit SparseImage(std::int64_t size) : size_(size) {}

  [[nodiscard]] std::int64_t size() const override { return size_; }
  Result<void> read_at(std::int64_t offset, std::span<std::byte> buffer) const override;

  void resize(std::int64_t size) { size_ = size; }
  // Beyond the size too: it can be cut off and come back.
  SparseImage& put(std::int64_t offset, std::string_view bytes);
  SparseImage& be16(std::int64_t offset, std::uint16_t value) { return number(offset, value, 2, true); }
  SparseImage& be32(std::int64_t offset, std::uint32_t value) { return number(offset, value, 4, true); }
  SparseImage& be64(std::int64_t offset, std::uint64_t value) { return number(offset, value, 8, true); }
  SparseImage& le16(std::int64_t offset, std::uint16_t value) { return number(offset, value, 2, false); }
  SparseImage& le32(std::int64_t offset, std::uint32_t value) { return number(offset, value, 4, false); }
  SparseImage& le64(std::int64_t offset, std::uint64_t value) { return number(offset, value, 8, false); }
  [[nodiscard]] std::string bytes(std::int64_t offset, std::int64_t count) const;
  [[nodiscard]] std::uint64_t get_be(std::int64_t offset, int count) const;
  void flip(std::int64_t offset, int bit);

  [[nodiscard]] const std::map<std::int64_t, Page>& pages() const { return pages_; }  // by offset

 private:
  SparseImage& number(std::int64_t offset, std::uint64_t value, int count, bool big_endian);
  std::byte& at(std::int64_t offset);
  void copy_out(std::int64_t offset, std::span<std::byte> buffer) const;

  std::int64_t size_;
  std::map<std::int64_t, Page> pages_;
};

}  // namespace ca::testing
