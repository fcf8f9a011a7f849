#pragma once
// The server commands that have a file of their own; server.cc has their table.

#include "agent/ctl/commands.h"

namespace ca::ctl {

[[nodiscard]] Result<Output> run_server_list(Context& context, const Args& args);
[[nodiscard]] Result<Output> run_server_create(Context& context, const Args& args);
[[nodiscard]] Result<Output> run_server_show(Context& context, const Args& args);

// "net-id=...,v4-fixed-ip=...": what is wrong with it, or empty.
[[nodiscard]] std::string nic_problem(const std::string& value);
[[nodiscard]] std::string nic_name_problem(const std::string& value);

// The file as the API takes it, base64.
[[nodiscard]] Result<std::string> read_user_data(const std::string& path);

// "size=1,format=ext4": what is wrong with it, or empty.
[[nodiscard]] std::string ephemeral_problem(const std::string& value);

// "uuid=...,source_type=...": what is wrong with it, or empty.
[[nodiscard]] std::string block_device_problem(const std::string& value);
// --volume, --boot-from-volume and --block-device into the body of a server's creation.
[[nodiscard]] Result<void> add_block_devices(Api& api, Json& server, const Args& args);

// A server as `server show` and `server create` show it.
[[nodiscard]] Result<Details> server_details(Context& context, Json server);

// By name or id, among the soft-deleted too.
[[nodiscard]] Result<Json> find_server_or_deleted(Api& api, const std::string& name);

// {"net": ["10.0.0.5"]} out of a server's addresses.
[[nodiscard]] Json addresses_by_network(const Json& server);
// NOSTATE, Running, ...
[[nodiscard]] Cell power_state_cell(Json number);

inline constexpr std::string_view kBootedFromVolume = "N/A (booted from volume)";

}  // namespace ca::ctl
