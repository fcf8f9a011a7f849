#pragma once
// CRC-32C (Castagnoli), the checksum of VHDX structures.

#include <cstdint>
#include <span>

namespace ca::inspector {

[[nodiscard]] inline std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes) {
  for (const auto byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
  }
  return crc;
}

}  // namespace ca::inspector
