#pragma once
// Defaults that depend on the host the agent runs on, and the syntax checks of values.

#include <string>
#include <string_view>

namespace ca {

// gethostname(2); "localhost" when the host has none.
[[nodiscard]] std::string default_host();
// First IPv4 address of the interface that carries the default route, else 127.0.0.1.
[[nodiscard]] std::string default_my_ip();
// Where `meson install` puts the helpers.
[[nodiscard]] std::string default_helper_path();

[[nodiscard]] bool is_ip_address(std::string_view text);
[[nodiscard]] bool is_host_name(std::string_view text);
[[nodiscard]] bool is_domain_or_empty(std::string_view text);
// Absolute, no empty, "." or ".." component, not "/" itself.
[[nodiscard]] bool is_clean_path(std::string_view text);
[[nodiscard]] bool is_port(std::string_view text);
[[nodiscard]] bool is_clean_path_or_empty(std::string_view text);
// One path component of letters, digits, '.', '_' and '-' that does not start with '.'.
[[nodiscard]] bool is_directory_name(std::string_view text);
[[nodiscard]] bool is_uuid_or_empty(std::string_view text);
[[nodiscard]] bool is_uri(std::string_view text);
[[nodiscard]] bool is_word(std::string_view text);
[[nodiscard]] bool is_cpu_flag(std::string_view text);
[[nodiscard]] bool is_cache_mode(std::string_view text);
[[nodiscard]] bool is_machine_choice(std::string_view text);

}  // namespace ca
