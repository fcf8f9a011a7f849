#pragma once
// A file as a ByteSource.

#include <string>

#include "drivers/files/unique_fd.h"
#include "drivers/image.h"

namespace ca {

// Reads from a descriptor that somebody else keeps open; the size is the one given, whatever happens to the
// file.
class FileBytes : public ByteSource {
 public:
  FileBytes(int fd, std::int64_t size) : fd_(fd), size_(size) {}
  [[nodiscard]] std::int64_t size() const override { return size_; }
  Result<void> read_at(std::int64_t offset, std::span<std::byte> buffer) const override;

 private:
  int fd_;
  std::int64_t size_;
};

}  // namespace ca
