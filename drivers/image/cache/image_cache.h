#pragma once
// The cache of complete base images in _base, kept as nova keeps it: <base_dir>/<sha1 of image id>, locked by
// <locks_dir>/nova-<sha1>.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "drivers/image.h"
#include "drivers/process.h"

namespace ca {

struct ImageCacheOptions {
  std::string base_dir;          // <instances_path>/_base
  std::string locks_dir;         // <instances_path>/locks
  bool force_raw_images = true;  // nova's option: false keeps qcow2 images as they are
  std::string qemu_img = "/usr/bin/qemu-img";
  std::chrono::milliseconds lock_wait{30 * 60'000};  // for another process that fetches the same image
  // Told the name of each new base, on the thread that made it; may be empty.
  std::function<void(const std::string& name)> on_new_base = {};
};

// `source` and `runner` must outlive the cache. All methods may be called from any thread.
[[nodiscard]] std::unique_ptr<ImageCache> make_image_cache(ImageCacheOptions options, ImageSource& source, ProcessRunner& runner);

}  // namespace ca
