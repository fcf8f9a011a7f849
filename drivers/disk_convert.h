#pragma once
// A disk at rest as a new file of its own, backing files included. Both formats are given: nothing is probed.

#include <cstdint>
#include <string>

#include "agent/core/block_devices.h"
#include "drivers/process.h"

namespace ca {

struct ConvertSpec {
  std::string from;                           // absolute path
  DiskFormat from_format = DiskFormat::kRaw;  // from our record; raw or qcow2
  std::string to;                             // absolute path; replaced
  DiskFormat to_format = DiskFormat::kQcow2;
  std::int64_t virtual_bytes = 0;  // bounds time, CPU and the size of the result
};

// kNoSpace, kTimeout, kExternal with qemu-img's words. The result is not synced yet.
Result<void> convert_disk(ProcessRunner& runner, const std::string& qemu_img, const ConvertSpec& spec);

}  // namespace ca
