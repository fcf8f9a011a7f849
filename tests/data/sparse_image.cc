#include "tests/data/sparse_image.h"

#include <algorithm>

namespace ca::testing {

std::byte& SparseImage::at(std::int64_t offset) { return pages_[offset / kPage * kPage][static_cast<std::size_t>(offset % kPage)]; }

void SparseImage::copy_out(std::int64_t offset, std::span<std::byte> buffer) const {
  const auto count = static_cast<std::int64_t>(buffer.size());
  std::ranges::fill(buffer, std::byte{0});
  for (auto page = pages_.lower_bound(offset - kPage + 1); page != pages_.end() && page->first < offset + count; ++page) {
    const std::int64_t begin = std::max(offset, page->first);
    const std::int64_t end = std::min(offset + count, page->first + kPage);
    std::copy_n(page->second.begin() + (begin - page->first), end - begin, buffer.begin() + (begin - offset));
  }
}

Result<void> SparseImage::read_at(std::int64_t offset, std::span<std::byte> buffer) const {
  const auto count = static_cast<std::int64_t>(buffer.size());
  if (offset < 0 || offset > size_ || size_ - offset < count) return fail(Code::kInvalid, "read outside the image");
  copy_out(offset, buffer);
  return {};
}

SparseImage& SparseImage::put(std::int64_t offset, std::string_view bytes) {
  for (const char c : bytes) at(offset++) = static_cast<std::byte>(c);
  return *this;
}

SparseImage& SparseImage::number(std::int64_t offset, std::uint64_t value, int count, bool big_endian) {
  for (int i = 0; i < count; ++i) at(offset + (big_endian ? count - 1 - i : i)) = static_cast<std::byte>(value >> (8 * i));
  return *this;
}

std::string SparseImage::bytes(std::int64_t offset, std::int64_t count) const {
  std::string text(static_cast<std::size_t>(count), '\0');
  copy_out(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

std::uint64_t SparseImage::get_be(std::int64_t offset, int count) const {
  std::uint64_t value = 0;
  for (const char c : bytes(offset, count)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

void SparseImage::flip(std::int64_t offset, int bit) { at(offset) ^= static_cast<std::byte>(1 << bit); }

}  // namespace ca::testing
