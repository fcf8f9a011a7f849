#pragma once
// Instance record -> the Compute API's server object. Pure.

#include "agent/api/router.h"
#include "agent/store/store.h"

namespace ca {

// Names of networks and addresses of ports, looked up once for a whole list.
struct ServerViewContext {
  std::map<Uuid, std::shared_ptr<const Port>> ports;
  std::map<Uuid, std::shared_ptr<const Network>> networks;
};
[[nodiscard]] ServerViewContext server_view_context(const Store& store);

[[nodiscard]] Json server_view(const Instance& instance, const ServerViewContext& context, const std::string& dhcp_domain);
[[nodiscard]] Json server_brief(const Instance& instance);

}  // namespace ca
