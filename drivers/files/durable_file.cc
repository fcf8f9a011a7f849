#include "drivers/files/durable_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <filesystem>

namespace ca {
namespace {

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The mount point that `path` lies on: the last parent on the same device.
std::string mount_point_of(const std::string& path) {
  struct stat info {};
  std::string at = path;
  while (::stat(at.c_str(), &info) != 0) {
    if (at == "/" || at == ".") return at;
    at = parent_of(at);
  }
  const dev_t device = info.st_dev;
  while (at != "/" && at != ".") {
    const std::string up = parent_of(at);
    if (::stat(up.c_str(), &info) != 0 || info.st_dev != device) break;
    at = up;
  }
  return at;
}

}  // namespace

tl::unexpected<Error> fail_file(int errnum, const std::string& what, const std::string& path) {
  if (errnum != ENOSPC && errnum != EDQUOT) return fail_errno(errnum, what + " " + path);
  const std::string mount = mount_point_of(path);
  struct statvfs fs {};
  if (::statvfs(mount.c_str(), &fs) != 0) return fail_errno(errnum, what + " " + path);
  const auto mib = [&](std::uint64_t blocks) { return blocks * fs.f_frsize / (std::uint64_t{1} << 20); };
  return fail(Code::kNoSpace,
              fmt::format("{} {}: no space left on the file system at {} ({} MiB of {} MiB free, {} of {} inodes free{})", what, path,
                          mount, mib(fs.f_bavail), mib(fs.f_blocks), fs.f_favail, fs.f_files, errnum == EDQUOT ? "; over quota" : ""),
              fmt::format("free space on {}, then try again", mount));
}

Result<OpenedFile> open_regular(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not hang; it has no effect on regular files.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    if (errno == ELOOP) return fail(Code::kInvalid, path + " is a symbolic link, not a regular file");
    return fail_file(errno, "cannot open", path);
  }
  OpenedFile opened{.fd = std::move(fd)};
  if (::fstat(opened.fd.get(), &opened.info) != 0) return fail_file(errno, "cannot stat", path);
  if (!S_ISREG(opened.info.st_mode)) return fail(Code::kInvalid, path + " is not a regular file");
  return opened;
}

Result<bool> regular_file_exists(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    return fail_file(errno, "cannot stat", path);
  }
  if (S_ISREG(info.st_mode)) return true;
  return fail(Code::kConflict, path + " exists and is not a regular file", "look at what it is and move it away, then try again");
}

Result<void> write_all(int fd, std::int64_t offset, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_file(errno, "cannot write", path);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

Result<void> sync_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid() || ::fsync(file.get()) != 0) return fail_file(errno, "cannot sync", path);
  return {};
}

Result<void> fsync_parent(const std::string& path) {
  const std::string parent = parent_of(path);
  const UniqueFd dir(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.valid() || ::fsync(dir.get()) != 0) return fail_file(errno, "cannot sync directory", parent);
  return {};
}

Result<void> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return fail_file(errno, "cannot remove", path);
  }
  return fsync_parent(path);
}

Result<void> make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail_file(error.value(), "cannot make directory", path);
  return {};
}

DurableFile::DurableFile(std::string path, std::string part_path, UniqueFd fd, mode_t mode)
    : path_(std::move(path)), part_path_(std::move(part_path)), fd_(std::move(fd)), mode_(mode) {}

DurableFile::DurableFile(DurableFile&& other) noexcept
    : path_(std::move(other.path_)), part_path_(std::exchange(other.part_path_, {})), fd_(std::move(other.fd_)), mode_(other.mode_) {}

DurableFile::~DurableFile() {
  if (part_path_.empty()) return;
  // Whoever came later may have replaced our part by theirs.
  struct stat ours {
  }, there{};
  if (::fstat(fd_.get(), &ours) != 0 || ::lstat(part_path_.c_str(), &there) != 0) return;
  if (ours.st_dev == there.st_dev && ours.st_ino == there.st_ino) ::unlink(part_path_.c_str());
}

Result<DurableFile> DurableFile::create(const std::string& path, mode_t mode) {
  std::string part = path + ".part";
  if (::unlink(part.c_str()) != 0 && errno != ENOENT) return fail_file(errno, "cannot remove stale", part);
  // Nobody but us reads it before it is complete.
  UniqueFd fd(::open(part.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return fail_file(errno, "cannot create", part);
  return DurableFile(path, std::move(part), std::move(fd), mode);
}

Result<void> DurableFile::write_at(std::int64_t offset, std::span<const std::byte> bytes) {
  return write_all(fd_.get(), offset, bytes, part_path_);
}

Result<void> DurableFile::set_size(std::int64_t bytes) {
  if (::ftruncate(fd_.get(), bytes) != 0) {
    return fail_file(errno, fmt::format("cannot set the size to {} bytes of", bytes), part_path_);
  }
  return {};
}

Result<void> DurableFile::commit() {
  if (::fchmod(fd_.get(), mode_) != 0) return fail_file(errno, "cannot change the mode of", part_path_);
  if (::fsync(fd_.get()) != 0) return fail_file(errno, "cannot sync", part_path_);
  if (::rename(part_path_.c_str(), path_.c_str()) != 0) return fail_file(errno, "cannot rename into place", path_);
  part_path_.clear();
  return fsync_parent(path_);
}

}  // namespace ca
