#pragma once
// Images: the inspector (pure: bytes in, facts out), the cache in _base, and the sources an image's bytes come from.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "agent/core/error.h"
#include "agent/core/values.h"

namespace ca {

// Random access to an image's bytes, so that the inspector can be fed a file, a buffer or a fuzzer's input.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  [[nodiscard]] virtual std::int64_t size() const = 0;
  // Reads exactly buffer.size() bytes at offset, else kInvalid ("truncated").
  virtual Result<void> read_at(std::int64_t offset, std::span<std::byte> buffer) const = 0;
};

struct ImageFacts {
  DiskFormat format = DiskFormat::kUnknown;
  std::int64_t virtual_size_bytes = 0;
};

// Looks at `source` as the format it is registered as, and refuses (kUnsafe, with the reason) whatever is not exactly that:
// another format's magic, qcow2 with a backing or data file or unknown incompatible features, QED, VMDK other than
// streamOptimized/monolithicSparse, truncated headers (CVE-2015-5163, CVE-2024-32498, CVE-2024-40767).
[[nodiscard]] Result<ImageFacts> inspect_image(DiskFormat registered, const ByteSource& source);

// Opens a file (O_RDONLY|O_NOFOLLOW, regular files only) as a ByteSource.
[[nodiscard]] Result<std::unique_ptr<ByteSource>> open_file_source(const std::string& path);

// Where an image's bytes come from. file/ is the local image store; http and rbd come with the image service.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  // Path of a local regular file with the image's bytes, checked against the record's sha512 while they are copied.
  virtual Result<std::string> local_path(const ImageMeta& image) = 0;
};

struct BaseImage {
  std::string path;                      // <instances_path>/_base/<sha1 of image id>
  DiskFormat format = DiskFormat::kRaw;  // raw, or qcow2 when force_raw_images = false
  std::int64_t virtual_size_bytes = 0;
};

class ImageCache {
 public:
  virtual ~ImageCache() = default;
  // The complete base for `image`; one fetch however many ask at once, in this process or another (lock file in locks/).
  // The inspector ran before any qemu-img sees the bytes; content is checked against os_hash_value on the way.
  virtual Result<BaseImage> fetch(const ImageMeta& image) = 0;
  // Where fetch() would put it, without doing anything.
  [[nodiscard]] virtual std::string base_path(const ImageMeta& image) const = 0;
  // Removes what fetches left that were cut off by a crash; a fetch that another process is at goes on undisturbed.
  virtual Result<void> remove_unfinished() = 0;
  // Bytes allocated by everything in _base (counts as used disk).
  virtual Result<std::int64_t> allocated_bytes() = 0;
};

}  // namespace ca
