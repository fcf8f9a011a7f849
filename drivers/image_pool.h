#pragma once
// A pool of a storage cluster that complete raw images lie in, ready to be cloned (Ceph RBD). Blocking; called on bounded workers;
// everything is idempotent. Errors as of drivers/disk.h.

#include <string>

#include "agent/core/error.h"
#include "agent/core/ids.h"

namespace ca {

class ImagePool {
 public:
  virtual ~ImagePool() = default;
  // Takes a complete raw file as the image's content. The image's location ("rbd://<fsid>/<pool>/<image id>/snap").
  virtual Result<std::string> import(const Uuid& id, const std::string& raw_file) = 0;
  // kConflict, naming their number, while disks hang on it. Nothing there is success.
  virtual Result<void> remove(const Uuid& id) = 0;
};

}  // namespace ca
