#include "agent/core/base64.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace ca {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> kValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  return values;
}();

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = (group << 8) | (i < have ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) text += i <= have ? kAlphabet[(group >> (18 - 6 * i)) & 0x3f] : '=';
  }
  return text;
}

Result<std::string> base64_decode(std::string_view text) {
  const auto refuse = [] { return fail(Code::kInvalid, "the text is not base64", "encode it as RFC 4648 says, without line breaks"); };
  if (text.size() % 4 != 0) return refuse();
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    const std::size_t letters = at + 4 == text.size() ? 4 - padding : 4;
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::int8_t value = i < letters ? kValues[static_cast<unsigned char>(text[at + i])] : std::int8_t{0};
      if (value < 0) return refuse();
      group = (group << 6) | static_cast<std::uint32_t>(value);
    }
    const std::size_t count = letters - 1;
    if ((group & ((1U << (8 * (3 - count))) - 1)) != 0) return refuse();
    for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>((group >> (16 - 8 * i)) & 0xff);
  }
  return bytes;
}

}  // namespace ca
