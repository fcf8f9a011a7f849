#include "drivers/disk/file_backend.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "drivers/files/durable_file.h"
#include "drivers/files/sparse_copy.h"

namespace ca {
namespace {

// <instances>/<uuid>/disk -> <instances>/<uuid>_resize
std::string kept_dir(const std::string& address) { return address.substr(0, address.rfind('/')) + "_resize"; }

std::string kept_path(const std::string& address) { return kept_dir(address) + address.substr(address.rfind('/')); }

}  // namespace

std::string FileBackend::address(const Uuid& instance, const std::string& name) const {
  return instances_path_ + "/" + instance + "/" + name;
}

DiskSource FileBackend::source(const std::string& address) const {
  DiskSource source;
  source.path = address;
  return source;
}

Result<void> FileBackend::import(const std::string& file, const std::string& address) {
  if (file == address) return {};
  CA_TRY(const OpenedFile from, open_regular(file));
  CA_TRY(DurableFile to, DurableFile::create(address, 0600));
  CA_TRY_VOID(sparse_copy(from.fd.get(), file, to.fd(), to.part_path(), from.info.st_size));
  return to.commit();
}

Result<void> FileBackend::remove(const std::string& address) {
  CA_TRY_VOID(remove_file(address + ".part"));
  return remove_file(address);
}

Result<void> FileBackend::keep(const std::string& address) {
  CA_TRY_VOID(make_directories(kept_dir(address)));
  return import(address, kept_path(address));
}

Result<void> FileBackend::give_back(const std::string& address) {
  const std::string kept = kept_path(address);
  CA_TRY(const bool there, regular_file_exists(kept));
  if (!there) {
    // The directory goes when the copies are forgotten: until then a copy that is missing was given back already.
    struct stat info {};
    if (::lstat(kept_dir(address).c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
    return fail(Code::kNotFound, "there is no copy of " + address + " in " + kept_dir(address),
                "confirm the resize to go on with the disk as it is");
  }
  if (::rename(kept.c_str(), address.c_str()) != 0) return fail_file(errno, "cannot give back", address);
  CA_TRY_VOID(fsync_parent(address));
  return fsync_parent(kept);
}

Result<void> FileBackend::forget_kept(const std::string& address) {
  const std::string dir = kept_dir(address);
  struct stat info {};
  if (::lstat(dir.c_str(), &info) != 0 && errno == ENOENT) return {};
  CA_TRY_VOID(remove(kept_path(address)));
  if (::rmdir(dir.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT) return fail_file(errno, "cannot remove", dir);
  return fsync_parent(dir);
}

Result<void> FileBackend::check_unused(const std::string& /*address*/) { return {}; }

Result<DiskCapacity> FileBackend::capacity() {
  struct statvfs disk {};
  if (::statvfs(instances_path_.c_str(), &disk) != 0) return fail_errno(errno, "cannot look at " + instances_path_);
  return DiskCapacity{static_cast<std::int64_t>(disk.f_blocks * disk.f_frsize), static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize)};
}

}  // namespace ca
