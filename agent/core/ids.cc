#include "agent/core/ids.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>
#include <stdexcept>

namespace ca {

std::string random_bytes(std::size_t n) {
  std::string bytes(n, '\0');
  std::size_t have = 0;
  while (have < n) {
    const ssize_t got = ::getrandom(bytes.data() + have, n - have, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      throw std::runtime_error("getrandom failed");
    }
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

}  // namespace

Uuid new_uuid() {
  std::string bytes = random_bytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  const std::string h = hex(bytes);
  return h.substr(0, 8) + "-" + h.substr(8, 4) + "-" + h.substr(12, 4) + "-" + h.substr(16, 4) + "-" + h.substr(20);
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return false;
    } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
  }
  return true;
}

std::string new_request_id() { return "req-" + new_uuid(); }

std::string new_message_id() { return hex(random_bytes(16)); }

std::string new_mac() {
  const std::string bytes = random_bytes(3);
  return fmt::format("fa:16:3e:{:02x}:{:02x}:{:02x}", static_cast<unsigned char>(bytes[0]), static_cast<unsigned char>(bytes[1]),
                     static_cast<unsigned char>(bytes[2]));
}

std::string domain_name(long long instance_number) { return fmt::format("instance-{:08x}", instance_number); }

std::string tap_name(std::string_view port_id) { return "tap" + std::string(port_id.substr(0, 11)); }

}  // namespace ca
