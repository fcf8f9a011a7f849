#pragma once
// Instance disks by back end (`[libvirt] images_type`): qcow2/ overlays on _base, raw/ flat copies; rbd/ is a module of its own.
// Blocking; called on bounded workers. Everything is idempotent, so a step can be run twice.

#include <cstdint>
#include <memory>
#include <string>

#include "agent/core/error.h"
#include "agent/core/values.h"

namespace ca {

struct DiskSpec {
  std::string path;                           // <instances_path>/<uuid>/disk
  std::string base_path;                      // complete file in _base
  DiskFormat base_format = DiskFormat::kRaw;  // from our record, never probed
  std::int64_t base_virtual_bytes = 0;
  std::int64_t size_bytes = 0;  // wanted virtual size, >= base_virtual_bytes
};

class DiskBackend {
 public:
  virtual ~DiskBackend() = default;
  // Format of the files it makes; goes into disk.info and the domain XML.
  [[nodiscard]] virtual DiskFormat format() const = 0;
  // Makes the disk (temp file, fsync, rename). An existing complete disk is left as it is.
  virtual Result<void> create(const DiskSpec& spec) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
};

}  // namespace ca
