#include "agent/api/compute/server_orders.h"

namespace ca {

std::vector<ServerOrder> server_orders() {
  std::vector<ServerOrder> all;
  for (auto family : {power_orders(), image_orders(), rescue_orders()}) all.insert(all.end(), family.begin(), family.end());
  return all;
}

std::vector<ServerCall> server_calls() { return {}; }

}  // namespace ca
