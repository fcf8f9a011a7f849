#pragma once
// The local image store: one file per image under <data_path>/images, named by the image's id.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "agent/core/error.h"
#include "agent/core/values.h"
#include "drivers/image.h"

namespace ca {

struct StoredImage {
  std::int64_t size_bytes = 0;
  std::int64_t virtual_size_bytes = 0;
  std::string md5;
  std::string sha512;
  std::string location;  // as ImageMeta::location
};

// One upload. Bytes go to a temp file and through the digests; nothing is visible before finish().
class ImageUpload {
 public:
  virtual ~ImageUpload() = default;
  virtual Result<void> append(std::span<const std::byte> bytes) = 0;  // kTooLarge, kNoSpace, kIo
  // Inspects, fsyncs, renames. kUnsafe when the content is not what it is registered as.
  virtual Result<StoredImage> finish() = 0;
};

class ImageStore {
 public:
  virtual ~ImageStore() = default;
  // An upload that is dropped without finish() leaves nothing.
  virtual Result<std::unique_ptr<ImageUpload>> begin(const Uuid& id, DiskFormat format, std::int64_t max_bytes) = 0;
  // Takes the complete local file `file` as the image's data: digests, inspects, fsyncs and moves it (copies it where it lies on
  // another file system). Safe to run again after any crash: a file that is gone was taken before. kUnsafe as finish().
  virtual Result<StoredImage> take(const Uuid& id, DiskFormat format, const std::string& file, std::int64_t max_bytes) = 0;
  virtual Result<void> remove(const Uuid& id) = 0;
  // Whether remove() may refuse: then it comes before the record is erased.
  [[nodiscard]] virtual bool may_refuse() const { return false; }
  [[nodiscard]] virtual std::string path(const Uuid& id) const = 0;
};

[[nodiscard]] std::unique_ptr<ImageStore> make_local_image_store(std::string directory);

class ImagePool;
class ProcessRunner;
// Images in `pool`: an upload is taken as a file of `local` first, made raw, and put into the pool; no file stays. remove() refuses
// (kConflict) while disks hang on the image.
[[nodiscard]] std::unique_ptr<ImageStore> make_pool_image_store(std::unique_ptr<ImageStore> local, ImagePool& pool, ProcessRunner& runner,
                                                                std::string qemu_img);

}  // namespace ca
