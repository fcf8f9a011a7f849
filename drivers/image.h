#pragma once
// Images: the inspector (pure: bytes in, facts out), the cache in _base, and the sources an image's bytes come from.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

// An empty disk with a file system or a swap signature on it, made once and shared as a base.
struct BlankDisk {
  std::int64_t size_bytes = 0;  // whole GiB; of swap whole MiB
  std::string format;           // ext4, vfat, xfs, swap
};
// As nova names it in _base: "ephemeral_<GiB>_<7 digits that stand for the file system>", "swap_<MiB>". Empty: there is no such disk.
[[nodiscard]] std::string blank_base_name(const BlankDisk& disk);

// A base that nobody removes while this lives: long enough to make a disk of it.
struct HeldBase {
  BaseImage base;
  std::shared_ptr<const void> hold;
};

// One complete base in _base.
struct CachedBase {
  std::string name;   // of the file
  std::string state;  // "good", "unchecked" (its checksum is not known yet), "damaged"
  Uuid image_id;      // empty: unknown, or no image's
  std::int64_t size_bytes = 0;
  std::int64_t allocated_bytes = 0;
  std::int64_t used_us = 0;     // last time a disk was made of it
  std::int64_t checked_us = 0;  // 0: never
};

// What a check of a base found, and did.
enum class BaseCheck {
  kGood,
  kRecorded,      // there was no checksum yet: now there is
  kFetchedAgain,  // it was damaged and has been replaced
  kDamaged,       // it is damaged, and its image can't be fetched again
  kBusy           // somebody removes or replaces it
};
[[nodiscard]] std::string_view to_string(BaseCheck check);  // "good", "recorded", "fetched again", "damaged", "busy"

struct CheckLimits {
  std::int64_t bytes_per_second = 0;  // 0: as fast as it goes
  std::function<bool()> cancelled;    // may be empty; a cancelled check is kCancelled
};

// File name of a base to those that refer to it: directories under instances_path, which are uuids of instances.
using BaseUsers = std::map<std::string, std::set<std::string>>;

class ImageCache {
 public:
  virtual ~ImageCache() = default;
  // The complete base for `image`; one fetch however many ask at once, in this process or another (lock file in locks/).
  // The inspector ran before any qemu-img sees the bytes; content is checked against os_hash_value on the way.
  virtual Result<BaseImage> fetch(const ImageMeta& image) = 0;
  // fetch(), and the base is kept from removal until the hold is dropped. Marks it as used now.
  virtual Result<HeldBase> hold(const ImageMeta& image) = 0;
  // The same for a blank disk, which is made where there is none yet.
  virtual Result<HeldBase> hold_blank(const BlankDisk& disk) = 0;
  // Complete bases, by name.
  virtual Result<std::vector<CachedBase>> list() = 0;
  // Whose disks under `instances_path` hang on which base, as their headers say. An error where not all of them can be read.
  virtual Result<BaseUsers> users_on_disk(const std::string& instances_path) = 0;
  // Removes the base unless it was used within `min_age`, somebody holds it, or `in_use` says so, which is asked while nobody can
  // take it. False: it stays.
  virtual Result<bool> remove_unused(const std::string& name, std::chrono::seconds min_age,
                                     const std::function<Result<bool>()>& in_use) = 0;
  // Compares the base with its recorded checksum, or records it. A damaged one is fetched again when its image is given.
  virtual Result<BaseCheck> check(const std::string& name, const ImageMeta* image, const CheckLimits& limits) = 0;
  // Where fetch() would put it, without doing anything.
  [[nodiscard]] virtual std::string base_path(const ImageMeta& image) const = 0;
  // Removes what fetches and removals left that were cut off by a crash; a fetch that another process is at goes on undisturbed.
  virtual Result<void> remove_unfinished() = 0;
  // Bytes allocated by everything in _base (counts as used disk).
  virtual Result<std::int64_t> allocated_bytes() = 0;
};

}  // namespace ca
