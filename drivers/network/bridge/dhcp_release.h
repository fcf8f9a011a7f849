#pragma once
// The DHCPRELEASE datagram (RFC 2131, section 4.4.6). Pure.

#include <string>

#include "agent/core/error.h"

namespace ca::net {

// From the client with `mac` (Ethernet) that holds `ip_address`, to the server `server_ip`. Without a client id: dnsmasq then
// finds the lease by hardware address.
[[nodiscard]] Result<std::string> dhcp_release_packet(const std::string& server_ip, const std::string& ip_address, const std::string& mac);

}  // namespace ca::net
