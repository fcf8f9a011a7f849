#pragma once
// The query of GET /servers: which servers, and in which order. Names as in the Compute API; unknown ones are ignored, as nova does.

#include <functional>
#include <memory>
#include <vector>

#include "agent/api/router.h"
#include "agent/store/store.h"

namespace ca {

using ServerFilter = std::function<bool(const Instance&)>;

// kInvalid: a regular expression, a time or a truth value that is none.
[[nodiscard]] Result<ServerFilter> server_filter(const Store& store, const ApiRequest& request);
// By sort_key and sort_dir; newest first without, as nova. kInvalid names the keys there are.
[[nodiscard]] Result<void> sort_servers(const ApiRequest& request, std::vector<std::shared_ptr<const Instance>>& rows);

}  // namespace ca
