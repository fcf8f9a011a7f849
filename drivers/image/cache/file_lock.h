#pragma once
// A lock between processes, on a file in locks/.

#include <chrono>
#include <string>

#include "agent/core/error.h"
#include "drivers/files/unique_fd.h"

namespace ca {

// Held while the object lives. It is an open file description lock (F_OFD_SETLK): it excludes the POSIX
// record locks that nova (oslo.concurrency, fasteners) takes on the same file, and, unlike those, also other
// threads of this process.
class FileLock {
 public:
  enum class Mode { kExclusive, kShared };
  // kTimeout when another holds it for longer than `wait`. The file stays: removing it would let two holders
  // in.
  [[nodiscard]] static Result<FileLock> acquire(const std::string& path, std::chrono::milliseconds wait, Mode mode = Mode::kExclusive);

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace ca
