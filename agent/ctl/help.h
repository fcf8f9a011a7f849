#pragma once
// --help, from the command tables alone.

#include <span>
#include <string>

#include "agent/ctl/command.h"

namespace ca::ctl {

[[nodiscard]] std::string global_usage();                         // "usage: computectl ...\n"
[[nodiscard]] std::string command_usage(const Command& command);  // "usage: computectl server list ...\n"
[[nodiscard]] std::string global_help(std::span<const Command> commands);
[[nodiscard]] std::string command_help(const Command& command);

}  // namespace ca::ctl
