#pragma once
// Volumes by back end (Volume::backend): file/ makes raw sparse files. A volume's content is hostile from its first attachment on, so
// its format is always raw and never looked for.
//
// Blocking; called on bounded workers. Everything is idempotent and atomic: a volume or snapshot is complete or not there, and what a
// crash cut off is done again.
// Errors: kNoSpace, kIo, kNotFound (of what it is made from), kInvalid, kConflict (written to meanwhile); kUnavailable when the storage
// can't be asked, which never means that a volume is gone.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/core/block_devices.h"
#include "agent/core/error.h"

namespace ca {

struct VolumeSpec {
  Uuid id;
  std::int64_t size_bytes = 0;
  // At most one of these; none: empty.
  Uuid snapshot_id;        // of this back end
  Uuid source_volume_id;   // of this back end; nobody writes to it
  std::string image_path;  // a complete raw file
};

class VolumeBackend {
 public:
  virtual ~VolumeBackend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "file", "rbd"
  // What the guest's <disk> says of it.
  [[nodiscard]] virtual DiskSource source(const Uuid& volume) const = 0;

  virtual Result<void> create(const VolumeSpec& spec) = 0;
  virtual Result<void> remove(const Uuid& volume) = 0;
  // Grows; a smaller size than it has is kInvalid. A guest may run on it, and learns of it by the hypervisor.
  virtual Result<void> extend(const Uuid& volume, std::int64_t size_bytes) = 0;
  // Its size; none: there is no such volume.
  virtual Result<std::optional<std::int64_t>> size(const Uuid& volume) = 0;

  // Nobody writes to the volume, else kConflict where the back end can tell.
  virtual Result<void> create_snapshot(const Uuid& snapshot, const Uuid& volume) = 0;
  virtual Result<void> remove_snapshot(const Uuid& snapshot, const Uuid& volume) = 0;

  // A snapshot of a volume that a running guest writes to: the hypervisor fills the file that begin_live_snapshot() names, then
  // finish_live_snapshot() makes it the snapshot. No path: create_snapshot() is exact whoever writes.
  virtual Result<std::optional<std::string>> begin_live_snapshot(const Uuid& snapshot, const Uuid& volume) = 0;
  virtual Result<void> finish_live_snapshot(const Uuid& snapshot) = 0;
};

// volume-<id> and snapshot-<id> below `directory`, which is made when needed; files 0600.
[[nodiscard]] std::unique_ptr<VolumeBackend> make_file_volumes(std::string directory);

}  // namespace ca
