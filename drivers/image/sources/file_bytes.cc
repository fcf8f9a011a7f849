#include "drivers/image/sources/file_bytes.h"

#include <fmt/format.h>

#include <cerrno>

#include "drivers/files/durable_file.h"

namespace ca {
namespace {

// FileBytes that keeps its file open.
class OwnedFileBytes final : public FileBytes {
 public:
  explicit OwnedFileBytes(OpenedFile file) : FileBytes(file.fd.get(), file.info.st_size), fd_(std::move(file.fd)) {}

 private:
  UniqueFd fd_;
};

}  // namespace

Result<void> FileBytes::read_at(std::int64_t offset, std::span<std::byte> buffer) const {
  const auto wanted = static_cast<std::int64_t>(buffer.size());
  if (offset < 0 || offset > size_ || size_ - offset < wanted) {
    return fail(Code::kInvalid, fmt::format("truncated: {} bytes at offset {} are wanted of {}", wanted, offset, size_));
  }
  while (!buffer.empty()) {
    const ssize_t n = ::pread(fd_, buffer.data(), buffer.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, fmt::format("cannot read the image at offset {}", offset));
    if (n == 0) return fail(Code::kInvalid, fmt::format("truncated: the file ends at offset {}", offset));
    buffer = buffer.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

Result<std::unique_ptr<ByteSource>> open_file_source(const std::string& path) {
  CA_TRY(OpenedFile file, open_regular(path));
  return std::make_unique<OwnedFileBytes>(std::move(file));
}

}  // namespace ca
