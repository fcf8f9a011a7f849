#pragma once
// computectl without main: a command line in, text and an exit status out.

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/clock.h"

namespace ca::ctl {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

struct Surroundings {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  int terminal_columns = 0;  // 0: no terminal
  int stdin_fd = 0;
  std::function<std::optional<std::string>(const std::string&)> environment;
  std::function<void(Millis)> sleep;
};

// `words` is the command line without the program's name.
[[nodiscard]] int run_app(const std::vector<std::string>& words, const Surroundings& surroundings);

}  // namespace ca::ctl
