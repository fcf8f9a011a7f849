#pragma once
// Instance disks by back end (`[libvirt] images_type`): qcow2/ overlays on _base, raw/ flat copies, rbd/ clones in Ceph (a module of
// its own, loaded only where it is configured).
//
// A disk is named by its address, which only its back end makes and reads: an absolute path, or "pool/image".
// Blocking; called on bounded workers. Everything is idempotent, so a step can be run twice.
// Errors: kNoSpace, kIo, kNotFound, kInvalid; kConflict when another host writes to the disk; kUnavailable when the storage can't be
// asked, which never means that a disk is gone.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "agent/core/error.h"
#include "agent/core/values.h"

namespace ca {

struct DiskSpec {
  std::string path;                           // where, as address() names it
  std::string base_path;                      // complete file in _base
  DiskFormat base_format = DiskFormat::kRaw;  // from our record, never probed
  std::int64_t base_virtual_bytes = 0;
  std::int64_t size_bytes = 0;  // wanted virtual size, >= base_virtual_bytes
  bool preallocate = false;     // files only: all of size_bytes is allocated at once
};

struct DiskCapacity {
  std::int64_t total_bytes = 0;
  std::int64_t free_bytes = 0;
};

class DiskBackend {
 public:
  virtual ~DiskBackend() = default;
  // As LocalDisk::storage records it: "qcow2", "raw", "rbd".
  [[nodiscard]] virtual std::string_view storage() const = 0;
  // Format of the disks it makes; goes into disk.info and the domain XML.
  [[nodiscard]] virtual DiskFormat format() const = 0;
  // Where the disk `name` ("disk", "disk.eph0", "disk.swap", "disk.rescue", "disk.config") of `instance` lies.
  [[nodiscard]] virtual std::string address(const Uuid& instance, const std::string& name) const = 0;
  // What the guest's <disk> says of it.
  [[nodiscard]] virtual DiskSource source(const std::string& address) const = 0;

  // Makes the disk of a base: nothing, or a complete one (files: temp file, fsync, rename). An existing disk is left as it is.
  virtual Result<void> create(const DiskSpec& spec) = 0;
  // Makes the disk straight from the image, without _base. False: this back end or this image needs a base; nothing was done.
  virtual Result<bool> create_from_image(const ImageMeta& /*image*/, const std::string& /*address*/, std::int64_t /*size_bytes*/) {
    return false;
  }
  // Takes a complete file (a config drive) as the disk. Replaces what was there.
  virtual Result<void> import(const std::string& file, const std::string& address) = 0;
  virtual Result<void> remove(const std::string& address) = 0;
  // Grows; never shrinks (kInvalid). The guest does not run.
  virtual Result<void> resize(const std::string& address, std::int64_t size_bytes) = 0;
  // Keeps a copy of the disk as it is now, beside it (files: in nova's <uuid>_resize). Replaces an older one. The guest does not run.
  virtual Result<void> keep(const std::string& address) { return cannot_keep(address); }
  // The disk is again what keep() saw; the copy becomes the disk. The guest does not run. kNotFound: nothing was kept.
  virtual Result<void> give_back(const std::string& address) { return cannot_keep(address); }
  // Drops what keep() kept; nothing there is success.
  virtual Result<void> forget_kept(const std::string& /*address*/) { return {}; }
  // Virtual size; none: there is no such disk.
  virtual Result<std::optional<std::int64_t>> size(const std::string& address) = 0;
  // Before a guest starts on it: nobody else may write to it. kConflict names the other writer.
  virtual Result<void> check_unused(const std::string& address) = 0;
  // Of the storage the disks lie on.
  virtual Result<DiskCapacity> capacity() = 0;

 private:
  [[nodiscard]] Result<void> cannot_keep(const std::string& address) const {
    return fail(Code::kInvalid, "disks of kind " + std::string(storage()) + " can't be kept for a revert: " + address,
                "resize an instance whose disks are files");
  }
};

}  // namespace ca
