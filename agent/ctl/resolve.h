#pragma once
// From what a user typed, a name or an id, to the one record it means. An id wins over a name; a name that several have is an error
// that lists their ids.

#include <string>
#include <string_view>
#include <vector>

#include "agent/ctl/api.h"

namespace ca::ctl {

// `records` are candidates; kNotFound or kConflict otherwise.
[[nodiscard]] Result<Json> choose_one(std::vector<Json> records, std::string_view kind, const std::string& wanted,
                                      std::string_view name_member = "name");

[[nodiscard]] Result<std::string> server_id(Api& api, const std::string& name_or_id);
[[nodiscard]] Result<Json> find_server(Api& api, const std::string& name_or_id);  // with all details
[[nodiscard]] Result<Json> find_image(Api& api, const std::string& name_or_id);
[[nodiscard]] Result<Json> find_flavor(Api& api, const std::string& name_or_id);
[[nodiscard]] Result<Json> find_network(Api& api, const std::string& name_or_id);
[[nodiscard]] Result<Json> find_subnet(Api& api, const std::string& name_or_id);
[[nodiscard]] Result<Json> find_port(Api& api, const std::string& name_or_id);
[[nodiscard]] Result<Json> find_volume(Api& api, const std::string& name_or_id);
[[nodiscard]] Result<Json> find_volume_snapshot(Api& api, const std::string& name_or_id);
[[nodiscard]] Result<Json> find_hypervisor(Api& api, const std::string& name_or_id);

}  // namespace ca::ctl
