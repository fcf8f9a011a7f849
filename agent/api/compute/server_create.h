#pragma once
// The body of POST /servers, resolved against the records.

#include "agent/api/api_services.h"

namespace ca {

struct ServerOrder {
  Instance instance;              // without id, number and times
  Json networks = Json::array();  // requested_networks of the message
  std::int64_t count = 1;
  bool hostname_given = false;
};

// `server` follows schemas/rest/server_create.json. kInvalid / kNotFound name what is wrong.
[[nodiscard]] Result<ServerOrder> server_order(ApiServices& s, const Json& server);

// nova's sanitize_hostname: lower case, only [a-z0-9-], at most 63; "Server-<uuid>" when nothing is left.
[[nodiscard]] std::string hostname_from(const std::string& name, const Uuid& uuid);

}  // namespace ca
