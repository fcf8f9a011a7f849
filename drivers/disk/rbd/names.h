#pragma once
// Names and texts of Ceph that the driver reads. Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/block_devices.h"
#include "agent/core/error.h"

namespace ca::rbd {

// "pool/image", both of the characters that we make names of.
struct Address {
  std::string pool;
  std::string image;
};
[[nodiscard]] Result<Address> parse_address(std::string_view address);

// As glance writes locations: rbd://<fsid>/<pool>/<image>/<snapshot>.
struct Location {
  std::string fsid;
  std::string pool;
  std::string image;
  std::string snapshot;
};
[[nodiscard]] std::string to_text(const Location& location);
[[nodiscard]] Result<Location> parse_location(std::string_view text);

// The monitors of ceph.conf's mon_host, one of each address list: "10.0.0.1,10.0.0.2:6789", "[v2:10.0.0.1:3300,v1:10.0.0.1:6789]". QEMU is
// given the v1 port where there is one. None when it can't be read so; QEMU reads ceph.conf itself then.
[[nodiscard]] std::vector<DiskSource::Host> parse_monitors(std::string_view mon_host);

// The IP address in a client's address: "10.0.0.5:0/123", "v1:10.0.0.5:0/123", "[v2:..,v1:..]", "[fe80::1]:0/5". Empty: there is none.
[[nodiscard]] std::string ip_of(std::string_view client_address);

// The key of `entity` ("client.agent") in a keyring's text.
[[nodiscard]] std::optional<std::string> key_in_keyring(std::string_view keyring, std::string_view entity);

}  // namespace ca::rbd
