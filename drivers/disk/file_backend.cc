#include "drivers/disk/file_backend.h"

#include <sys/statvfs.h>

#include <cerrno>

#include "drivers/files/durable_file.h"
#include "drivers/files/sparse_copy.h"

namespace ca {

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

Result<void> FileBackend::check_unused(const std::string& /*address*/) { return {}; }

Result<DiskCapacity> FileBackend::capacity() {
  struct statvfs disk {};
  if (::statvfs(instances_path_.c_str(), &disk) != 0) return fail_errno(errno, "cannot look at " + instances_path_);
  return DiskCapacity{static_cast<std::int64_t>(disk.f_blocks * disk.f_frsize), static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize)};
}

}  // namespace ca
