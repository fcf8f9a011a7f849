#pragma once
// network_data.json (nova/virt/netutils.py, get_network_metadata).

#include <nlohmann/json.hpp>

#include "agent/metadata/instance_metadata.h"

namespace ca {

// An empty object when the instance has no port. kInvalid when a port names a network or subnet that `input` does not have.
[[nodiscard]] Result<nlohmann::ordered_json> network_data(const MetadataInput& input);

}  // namespace ca
