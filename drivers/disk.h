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

// An image in the pool that disks are cloned from.
struct PoolImage {
  std::string location;  // as ImageMeta::location
  std::int64_t size_bytes = 0;
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
  // Whether create_from_image() takes this image, so that nothing needs to be fetched into _base. Asks nobody.
  [[nodiscard]] virtual bool takes_directly(const ImageMeta& /*image*/) const { return false; }
  // Makes the disk straight from the image, without _base. False: this back end or this image needs a base; nothing was done.
  virtual Result<bool> create_from_image(const ImageMeta& /*image*/, const std::string& /*address*/, std::int64_t /*size_bytes*/) {
    return false;
  }
  // The disk needs the image it was made from no longer.
  virtual Result<void> flatten(const std::string& /*address*/) { return {}; }
  // Takes a complete file (a config drive) as the disk. Replaces what was there.
  virtual Result<void> import(const std::string& file, const std::string& address) = 0;
  virtual Result<void> remove(const std::string& address) = 0;
  // Every disk of the instance that does not lie in its directory.
  virtual Result<void> remove_all(const Uuid& /*instance*/) { return {}; }
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
  // Keeps a dead host's guest from ever writing to the disk again: a blocklist entry, then its lock is broken. `holder` is the address that
  // check_unused() named, or the dead host's IP address; empty: whoever holds it. kConflict when somebody else does.
  virtual Result<void> fence(const std::string& /*address*/, const std::string& /*holder*/) { return {}; }
  // An image of the disk, in three calls, so that a guest has to be held during the first alone. It marks under the image's id what the
  // disk holds now, instead of an older mark; a guest may run on it. False: this back end has no marks; nothing was done.
  virtual Result<bool> mark_snapshot(const std::string& /*address*/, const Uuid& /*image_id*/) { return false; }
  // Makes an image in the pool of images of what is marked. None: there is no such pool; nothing was done.
  virtual Result<std::optional<PoolImage>> snapshot(const std::string& /*address*/, const Uuid& /*image_id*/) { return std::nullopt; }
  // Makes a raw file of what is marked; holes stay holes.
  virtual Result<void> export_snapshot(const std::string& address, const Uuid& /*image_id*/, const std::string& /*file*/) {
    return fail(Code::kInvalid, "disks of kind " + std::string(storage()) + " have no marks: " + address);
  }
  // Drops the mark. Nothing there is success.
  virtual Result<void> forget_snapshot(const std::string& /*address*/, const Uuid& /*image_id*/) { return {}; }
  // A copy of the instance's record beside its disks, where these are not in its directory: another host can take it over.
  virtual Result<void> keep_record(const Uuid& /*instance*/, const std::string& /*record*/) { return {}; }
  // Empty: none was kept here.
  virtual Result<std::string> kept_record(const Uuid& /*instance*/) { return std::string(); }
  // Of the storage the disks lie on.
  virtual Result<DiskCapacity> capacity() = 0;

 private:
  [[nodiscard]] Result<void> cannot_keep(const std::string& address) const {
    return fail(Code::kInvalid, "disks of kind " + std::string(storage()) + " can't be kept for a revert: " + address,
                "resize an instance whose disks are files");
  }
};

}  // namespace ca
