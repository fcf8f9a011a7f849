#pragma once
// Entries of block_device_mapping_v2 that mean disks the agent makes itself: ephemeral disks and swap.

#include <optional>
#include <vector>

#include "agent/api/api_services.h"

namespace ca {

// A blank local entry as a BlockDevice. None: the entry means something else. kInvalid says what is wrong with it.
[[nodiscard]] Result<std::optional<BlockDevice>> local_device(const Json& entry);
// The entry by which clients repeat the order's imageRef as the boot disk: nothing to do for it.
[[nodiscard]] bool repeats_image(const Json& entry, const Uuid& image_id);

}  // namespace ca
