#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <thread>

#include "agent/ctl/app.h"
#include "agent/ctl/text.h"

namespace {

int terminal_columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::ios::sync_with_stdio(false);
    ca::ctl::use_utf8_widths();
    return ca::ctl::run_app({argv + std::min(argc, 1), argv + argc}, {.out = std::cout,
                                                                      .err = std::cerr,
                                                                      .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                                                                      .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
                                                                      .terminal_columns = terminal_columns(),
                                                                      .stdin_fd = STDIN_FILENO,
                                                                      .environment = &environment,
                                                                      .sleep = [](ca::Millis time) { std::this_thread::sleep_for(time); }});
  } catch (const std::exception& error) {
    std::cerr << "computectl: " << error.what() << "\nwhat to do: report it with the command that was given\n";
    return ca::ctl::kExitFailed;
  }
}
