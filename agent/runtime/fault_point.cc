#include "agent/runtime/fault_point.h"

#ifdef COMPUTE_AGENT_FAULT_POINTS

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <unistd.h>

namespace ca::fault {

Result<void> hit(std::string_view name) {
  const char* orders = std::getenv("COMPUTE_AGENT_FAULT");
  if (orders == nullptr) return {};
  std::string_view rest(orders);
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view order = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    const std::size_t equals = order.rfind('=');
    if (equals == std::string_view::npos || order.substr(0, equals) != name) continue;
    const std::string_view action = order.substr(equals + 1);
    if (action == "kill") ::kill(::getpid(), SIGKILL);
    if (action == "hang") std::this_thread::sleep_for(std::chrono::seconds(60));
    if (action == "error") return fail(Code::kInternal, "fault point " + std::string(name) + " was told to fail");
  }
  return {};
}

}  // namespace ca::fault

#endif
