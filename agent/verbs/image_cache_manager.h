#pragma once
// Keeps the cache in _base: who uses which base, what may go, and whether what is there is still whole. nova's ImageCacheManager.

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "agent/verbs/services.h"

namespace ca {

struct UsedBase {
  CachedBase base;
  std::vector<std::string> users;  // uuids of instances
};

// Blocking; on workers. Thread-safe.
class ImageCacheManager {
 public:
  // `on_bytes` is told the bytes that _base takes whenever they may have changed.
  ImageCacheManager(Services& services, std::function<void(std::int64_t)> on_bytes);

  Result<std::vector<UsedBase>> list();
  // Removes the bases that nothing refers to and nobody used within `min_age`; answers their names.
  Result<std::vector<std::string>> clean(std::chrono::seconds min_age);
  // kNotFound: there is no such base. Of a damaged one the instances that hang on it are named in the log.
  Result<BaseCheck> verify(const std::string& name, const CheckLimits& limits = {});
  // What [image_cache] manager_interval orders: clean(), and a slow check of the base whose last one is longest ago.
  void pass();
  // A base was made: records its checksum.
  void note_new(const std::string& name);
  // Measures _base and tells its bytes.
  void tell_bytes();
  // Makes a pass that runs end soon.
  void stop() { stopping_ = true; }

 private:
  // By record (the store's, and those that other hosts keep in the directory) and by backing chain.
  Result<BaseUsers> users() const;
  // The image that the base is of; none: it is a blank disk's, or the image is gone.
  std::shared_ptr<const ImageMeta> image_of(const std::string& name) const;
  void check_oldest();

  Services& s_;
  std::function<void(std::int64_t)> on_bytes_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace ca
