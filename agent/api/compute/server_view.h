#pragma once
// Instance record -> the Compute API's server object, as text. Pure.

#include <unordered_map>

#include "agent/api/json_text.h"
#include "agent/store/store.h"

namespace ca {

// Names of networks and addresses of ports, looked up once for a whole list.
struct ServerViewContext {
  std::unordered_map<Uuid, std::shared_ptr<const Port>> ports;
  std::unordered_map<Uuid, std::shared_ptr<const Network>> networks;
};
[[nodiscard]] ServerViewContext server_view_context(const Store& store);

void write_server(JsonText& out, const Instance& instance, const ServerViewContext& context);
void write_server_brief(JsonText& out, const Instance& instance);
// The member "links".
void write_server_links(JsonText& out, const Uuid& uuid);

}  // namespace ca
