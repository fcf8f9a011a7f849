#pragma once
// The bash completion that `computectl complete` prints, made from the command tables.

#include <span>
#include <string>

#include "agent/ctl/command.h"

namespace ca::ctl {

// Commands and options from the tables; values with fixed choices; and names of servers, images, ... which the script asks
// computectl for when a positional like <server> is completed.
[[nodiscard]] std::string bash_completion(std::span<const Command> commands);

}  // namespace ca::ctl
