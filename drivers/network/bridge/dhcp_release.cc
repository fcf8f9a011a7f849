#include "drivers/network/bridge/dhcp_release.h"

#include <algorithm>
#include <cstdio>

#include "agent/core/ids.h"
#include "drivers/network/bridge/address.h"

namespace ca::net {
namespace {

// Offsets of RFC 2131's fixed part.
constexpr std::size_t kOp = 0, kHtype = 1, kHlen = 2, kXid = 4, kCiaddr = 12, kChaddr = 28, kCookie = 236, kOptions = 240;
constexpr std::size_t kSize = 300;  // the least that BOOTP relays take (RFC 1542)

bool parse_mac(const std::string& text, char* out) {
  unsigned bytes[6] = {};
  int used = 0;
  if (text.size() != 17 ||
      std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5], &used) !=
          6 ||
      used != 17) {
    return false;
  }
  for (int i = 0; i < 6; ++i) out[i] = static_cast<char>(bytes[i]);
  return true;
}

}  // namespace

Result<std::string> dhcp_release_packet(const std::string& server_ip, const std::string& ip_address, const std::string& mac) {
  const auto server = parse_address(server_ip);
  const auto client = parse_address(ip_address);
  std::string packet(kSize, '\0');
  if (!server || server->version != 4 || !client || client->version != 4 || !parse_mac(mac, packet.data() + kChaddr)) {
    return fail(Code::kInvalid,
                "cannot release the lease of '" + ip_address + "' to '" + mac + "' at '" + server_ip + "': not IPv4 and a MAC");
  }
  packet[kOp] = 1;     // BOOTREQUEST
  packet[kHtype] = 1;  // Ethernet
  packet[kHlen] = 6;
  const std::string xid = random_bytes(4);
  std::ranges::copy(xid, packet.begin() + kXid);
  std::copy_n(client->bytes.begin(), 4, packet.begin() + kCiaddr);
  packet.replace(kCookie, 4, "\x63\x82\x53\x63");
  packet.replace(kOptions, 5, std::string("\x35\x01\x07\x36\x04", 5));  // message type 7, server identifier
  std::copy_n(server->bytes.begin(), 4, packet.begin() + kOptions + 5);
  packet[kOptions + 9] = static_cast<char>(0xff);
  return packet;
}

}  // namespace ca::net
