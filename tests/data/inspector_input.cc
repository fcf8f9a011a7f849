#include "tests/data/inspector_input.h"

#include <algorithm>
#include <string_view>

#include "tests/data/image_seeds.h"

namespace ca::testing {
namespace {

constexpr std::uint8_t kSeal = 0x80;
constexpr std::size_t kHeader = 7, kPieceHeader = 8;

void append(std::string& text, std::uint64_t value, int count) {
  for (int i = 0; i < count; ++i) text += static_cast<char>(value >> (8 * i));
}

std::int64_t take(std::span<const std::uint8_t>& bytes, std::size_t count) {
  std::int64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::int64_t{bytes[i]} << (8 * i);
  bytes = bytes.subspan(count);
  return value;
}

}  // namespace

std::string encode_input(const InspectorInput& input) {
  std::string text(1, static_cast<char>(static_cast<std::uint8_t>(input.registered) | (input.seal ? kSeal : 0)));
  append(text, static_cast<std::uint64_t>(input.image.size()), 6);
  for (const auto& [offset, page] : input.image.pages()) {
    std::string_view content(reinterpret_cast<const char*>(page.data()), page.size());
    content = content.substr(0, content.find_last_not_of('\0') + 1);
    if (content.empty()) continue;
    append(text, static_cast<std::uint64_t>(offset), 6);
    append(text, content.size(), 2);
    text += content;
  }
  return text;
}

InspectorInput decode_input(std::span<const std::uint8_t> bytes) {
  InspectorInput input;
  if (bytes.size() < kHeader) return input;
  const auto first = static_cast<std::uint8_t>(take(bytes, 1));
  constexpr int kFormats = static_cast<int>(DiskFormat::kIso) + 1;
  input.registered = static_cast<DiskFormat>((first & 0x0f) % kFormats);
  input.seal = (first & kSeal) != 0;
  input.image.resize(take(bytes, 6));
  while (bytes.size() >= kPieceHeader) {
    const std::int64_t offset = take(bytes, 6);
    const auto length = std::min(static_cast<std::size_t>(take(bytes, 2)), bytes.size());
    input.image.put(offset, {reinterpret_cast<const char*>(bytes.data()), length});
    bytes = bytes.subspan(length);
  }
  if (input.seal && input.registered == DiskFormat::kVhd) seal_vhd(input.image);
  if (input.seal && input.registered == DiskFormat::kVhdx) seal_vhdx(input.image);
  return input;
}

}  // namespace ca::testing
