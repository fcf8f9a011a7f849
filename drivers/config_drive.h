#pragma once
// Config drives: an ISO 9660 image with volume id "config-2" (OpenStack's config drive format), written in process by libarchive.

#include <cstdint>
#include <map>
#include <string>

#include "agent/core/error.h"

namespace ca {

// Relative path in the image ("openstack/latest/meta_data.json") to content.
using ConfigDriveFiles = std::map<std::string, std::string>;

// Writes `path` by temp file, fsync and rename; mode 0600. Errors: kNoSpace, kIo, kInvalid (an absolute or ".." path).
Result<void> write_config_drive(const std::string& path, const ConfigDriveFiles& files);

}  // namespace ca
