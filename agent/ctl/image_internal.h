#pragma once
// Shared by image.cc (table, list, show, set, unset, delete) and image_transfer.cc (create, import, save).

#include "agent/ctl/commands.h"

namespace ca::ctl {

[[nodiscard]] Result<Output> run_image_create(Context& context, const Args& args);
[[nodiscard]] Result<Output> run_image_import(Context& context, const Args& args);
[[nodiscard]] Result<Output> run_image_save(Context& context, const Args& args);

// An image as `image show` shows it: the Image API's own fields, and all others under properties.
[[nodiscard]] Details image_details(const Json& image, bool human_readable);

// "public", "private", "community" or "shared", or empty.
[[nodiscard]] std::string visibility_of(const Args& args);

}  // namespace ca::ctl
