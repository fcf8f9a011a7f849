#pragma once
// The local image store: <dir>/<image id>, one file each, written by nobody but the agent.

#include <memory>
#include <string>

#include "drivers/image.h"

namespace ca {

[[nodiscard]] std::unique_ptr<ImageSource> make_file_image_source(std::string image_store_dir);

}  // namespace ca
