#pragma once
// Identifiers. Uuids are kept as their canonical lower-case text (36 characters), as nova does in records and paths.

#include <string>
#include <string_view>

namespace ca {

using Uuid = std::string;

// Random (RFC 4122 version 4) from getrandom(2).
[[nodiscard]] Uuid new_uuid();
// 8-4-4-4-12 lower-case hex digits, nothing else: safe as a path component.
[[nodiscard]] bool is_uuid(std::string_view text);
// "req-<uuid>", as OpenStack's X-Openstack-Request-Id.
[[nodiscard]] std::string new_request_id();
// 32 hex digits, as oslo.messaging's _unique_id and _msg_id.
[[nodiscard]] std::string new_message_id();
// fa:16:3e:xx:xx:xx, neutron's base_mac.
[[nodiscard]] std::string new_mac();
// instance-%08x, nova's instance_name_template.
[[nodiscard]] std::string domain_name(long long instance_number);
// "tap" + the first 11 characters of the port id.
[[nodiscard]] std::string tap_name(std::string_view port_id);
// n random bytes.
[[nodiscard]] std::string random_bytes(std::size_t n);

}  // namespace ca
