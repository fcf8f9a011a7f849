#pragma once
// Waiting for the end of an order, asking the agent at growing intervals (50 ms to 1 s). On a terminal one line shows the server's
// status and task while it lasts.

#include <string>

#include "agent/ctl/context.h"

namespace ca::ctl {

// Until `status` is reached and no task is left; answers the server then. The server's fault when it goes to ERROR; kConflict with what
// the failed step says when it comes to rest in another status.
[[nodiscard]] Result<Json> wait_for_status(Context& context, const std::string& id, const std::string& status);

// The same for orders that end in one of two states.
[[nodiscard]] Result<void> wait_for_one_of(Context& context, const std::string& id, const std::string& status, const std::string& other);

// Until the server is gone. `before` is the server as it was when it was ordered deleted: a fault it had then is not this order's.
[[nodiscard]] Result<void> wait_for_delete(Context& context, const Json& before);

// What a server in ERROR says about it.
[[nodiscard]] Error fault_of(const Json& server);

}  // namespace ca::ctl
