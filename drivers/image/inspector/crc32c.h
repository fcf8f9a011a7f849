#pragma once
// CRC-32C (Castagnoli), the checksum of VHDX structures.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ca::inspector {

namespace detail {

constexpr std::array<std::uint32_t, 256> make_crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}

inline constexpr auto kCrc32cTable = make_crc32c_table();

}  // namespace detail

// Feeds `bytes` into a running value; starts with ~0 and is inverted at the end.
[[nodiscard]] inline std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes) {
  for (const auto byte : bytes) crc = (crc >> 8) ^ detail::kCrc32cTable[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xff];
  return crc;
}

}  // namespace ca::inspector
