#pragma once
// Volumes in the body of POST /servers (block_device_mapping_v2 with destination_type volume).

#include <optional>

#include "agent/api/api_services.h"

namespace ca {

// None: the entry is not for a volume. kInvalid / kNotFound name what is wrong with it.
[[nodiscard]] Result<std::optional<BlockDevice>> ordered_volume(ApiServices& s, const Json& entry);
// The entry that a server boots from, when that is a volume.
[[nodiscard]] const Json* root_volume_entry(const Json& server);
// What a guest that boots from `root` is started with in place of an image: its properties alone, without an id.
[[nodiscard]] Result<ImageMeta> image_of_root(ApiServices& s, const Json& entry);
// Gives each of several servers volumes of its own.
void name_new_volumes(Instance& instance);

}  // namespace ca
