#pragma once
// The tables of commands, one file per noun, and all of them together.

#include <span>
#include <vector>

#include "agent/ctl/command.h"
#include "agent/ctl/context.h"
#include "agent/ctl/format/python_text.h"

namespace ca::ctl {

[[nodiscard]] std::span<const Command> server_commands();
[[nodiscard]] std::span<const Command> server_life_commands();
[[nodiscard]] std::span<const Command> server_event_commands();
[[nodiscard]] std::span<const Command> server_image_commands();
[[nodiscard]] std::span<const Command> server_rescue_commands();
[[nodiscard]] std::span<const Command> image_commands();
[[nodiscard]] std::span<const Command> image_cache_commands();
[[nodiscard]] std::span<const Command> flavor_commands();
[[nodiscard]] std::span<const Command> network_commands();
[[nodiscard]] std::span<const Command> subnet_commands();
[[nodiscard]] std::span<const Command> keypair_commands();
[[nodiscard]] std::span<const Command> compute_commands();
[[nodiscard]] std::span<const Command> hypervisor_commands();
[[nodiscard]] std::span<const Command> console_commands();
[[nodiscard]] std::span<const Command> volume_commands();
[[nodiscard]] std::span<const Command> volume_snapshot_commands();
[[nodiscard]] std::span<const Command> server_volume_commands();
[[nodiscard]] std::span<const Command> tool_commands();  // complete

[[nodiscard]] const std::vector<Command>& all_commands();

// Does `one` for each name. A failure is printed and does not keep the others from being done; the error at the end counts them:
// "1 of 3 images failed to delete".
[[nodiscard]] Result<Output> for_each_name(Context& context, const std::vector<std::string>& names, std::string_view verb,
                                           std::string_view noun, const std::function<Result<void>(const std::string&)>& one);

// A listing with a column per (heading, member) of each record.
struct ColumnOf {
  std::string_view heading;
  std::string_view member;
  Cell (*cell)(Json value) = &plain_cell;
};
[[nodiscard]] Listing listing_of(std::span<const ColumnOf> columns, const std::vector<Json>& records);

// key=value options as a JSON object.
[[nodiscard]] Json object_of(const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace ca::ctl
