#include <algorithm>
#include <cctype>

#include "agent/api/compute/server_orders.h"

namespace ca {
namespace {

std::string reboot_type(const Json& body) {
  std::string type = body.at("type");
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return type;
}

ServerOrder::Kind reboot_kind(const Json& body) {
  if (reboot_type(body) == "SOFT") return {Order::kRebootSoft, TaskState::kRebooting};
  return {Order::kRebootHard, TaskState::kRebootingHard};
}

Result<Json> reboot_args(ApiServices&, const Instance&, const Json& body) { return Json{{"reboot_type", reboot_type(body)}}; }

}  // namespace

std::vector<ServerOrder> power_orders() {
  return {
      {"os-start", "start_instance", always(Order::kStart, TaskState::kPoweringOn), {}, {}},
      {"os-stop", "stop_instance", always(Order::kStop, TaskState::kPoweringOff), {}, {}},
      {"reboot", "reboot_instance", reboot_kind, reboot_args, {}},
      {"forceDelete", "terminate_instance", always(Order::kTerminate, TaskState::kDeleting), {}, {}},
  };
}

}  // namespace ca
