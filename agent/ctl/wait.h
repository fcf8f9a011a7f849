#pragma once
// Waiting for the end of an order, asking the agent at growing intervals (50 ms to 1 s). On a terminal one line shows the server's
// status and task while it lasts.

#include <string>
#include <vector>

#include "agent/ctl/context.h"

namespace ca::ctl {

// Until `status` is reached and no task is left; answers the server then. The server's fault when it goes to ERROR; kConflict with what
// the failed step says when it comes to rest in another status.
[[nodiscard]] Result<Json> wait_for_status(Context& context, const std::string& id, const std::string& status);

// The same, with the first of several.
[[nodiscard]] Result<Json> wait_for_any_status(Context& context, const std::string& id, const std::vector<std::string>& wanted);

// Until the server is gone, or soft-deleted. `before` is the server as it was when it was ordered deleted: a fault it had then is not this
// order's.
[[nodiscard]] Result<void> wait_for_delete(Context& context, const Json& before);

// Until an image that is being imported is active; what the import says when it failed.
[[nodiscard]] Result<Json> wait_for_image(Context& context, const std::string& id);

// What a server in ERROR says about it.
[[nodiscard]] Error fault_of(const Json& server);

}  // namespace ca::ctl
