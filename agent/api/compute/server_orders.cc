#include "agent/api/compute/server_orders.h"

namespace ca {

std::vector<ServerOrder> server_orders() {
  std::vector<ServerOrder> all;
  for (auto family : {power_orders(), life_orders(), image_orders(), rescue_orders()}) all.insert(all.end(), family.begin(), family.end());
  return all;
}

std::vector<ServerCall> server_calls() {
  std::vector<ServerCall> all;
  for (auto family : {life_calls()}) all.insert(all.end(), family.begin(), family.end());
  return all;
}

}  // namespace ca
