#pragma once
// Files that are either complete and on the disk, or not there: temp file, fsync, rename, fsync of the
// directory.

#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "agent/core/error.h"
#include "drivers/files/unique_fd.h"

namespace ca {

// fail_errno for a file. A full file system (ENOSPC, EDQUOT) is told with its mount point and numbers.
[[nodiscard]] tl::unexpected<Error> fail_file(int errnum, const std::string& what, const std::string& path);

// O_RDONLY | O_NOFOLLOW; kInvalid when it is not a regular file.
struct OpenedFile {
  UniqueFd fd;
  struct stat info {};
};
[[nodiscard]] Result<OpenedFile> open_regular(const std::string& path);

// Whether a regular file is at `path`. Anything else there (a link, a directory) is kConflict: it is not
// ours.
[[nodiscard]] Result<bool> regular_file_exists(const std::string& path);

[[nodiscard]] Result<void> write_all(int fd, std::int64_t offset, std::span<const std::byte> bytes, const std::string& path);
// fsync of a file that is there.
[[nodiscard]] Result<void> sync_file(const std::string& path);
[[nodiscard]] Result<void> fsync_parent(const std::string& path);
// Removes the file durably. Nothing there is success.
[[nodiscard]] Result<void> remove_file(const std::string& path);
// mkdir -p
[[nodiscard]] Result<void> make_directories(const std::string& path);

// The file that becomes `path` on commit(). It is written as "<path>.part", which is unlinked when this
// object goes without a commit; one that a crash left is replaced.
class DurableFile {
 public:
  [[nodiscard]] static Result<DurableFile> create(const std::string& path, mode_t mode);
  DurableFile(DurableFile&& other) noexcept;
  DurableFile& operator=(DurableFile&&) = delete;
  ~DurableFile();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& part_path() const { return part_path_; }

  [[nodiscard]] Result<void> write_at(std::int64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> set_size(std::int64_t bytes);
  [[nodiscard]] Result<void> commit();

 private:
  DurableFile(std::string path, std::string part_path, UniqueFd fd, mode_t mode);

  std::string path_, part_path_;
  UniqueFd fd_;
  mode_t mode_;
};

}  // namespace ca
