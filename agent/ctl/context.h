#pragma once
// What a command gets to work with.

#include <functional>
#include <iosfwd>

#include "agent/ctl/api.h"

namespace ca::ctl {

struct Context {
  Api& api;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  int stdin_fd = 0;
  std::function<void(Millis)> sleep;
};

// message, causes, next action, each on a line of its own and safe for a terminal.
void print_error(std::ostream& err, const Error& error);

}  // namespace ca::ctl
