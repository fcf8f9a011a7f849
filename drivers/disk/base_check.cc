#include "drivers/disk/base_check.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

#include "drivers/files/durable_file.h"

namespace ca {

Result<void> check_disk_spec(const DiskSpec& spec) {
  if (spec.base_virtual_bytes <= 0 || spec.size_bytes <= 0) {
    return fail(Code::kInvalid,
                fmt::format("a disk of {} bytes on a base of {} bytes makes no sense", spec.size_bytes, spec.base_virtual_bytes));
  }
  if (spec.size_bytes < spec.base_virtual_bytes) {
    return fail(Code::kInvalid,
                fmt::format("Flavor's disk is too small for requested image. Flavor disk is {} bytes, image is {} bytes.", spec.size_bytes,
                            spec.base_virtual_bytes),
                "use a flavor with a root disk at least as large as the image");
  }
  CA_TRY(const bool exists, regular_file_exists(spec.base_path));
  if (!exists) return fail(Code::kNotFound, "the base image " + spec.base_path + " is gone", "order it again: the image is fetched anew");
  if (spec.base_format != DiskFormat::kRaw) return {};
  CA_TRY(const OpenedFile base, open_regular(spec.base_path));
  if (base.info.st_size != spec.base_virtual_bytes) {
    return fail(Code::kConflict, fmt::format("the base image {} has {} bytes, but its record says {}", spec.base_path, base.info.st_size,
                                             spec.base_virtual_bytes));
  }
  return {};
}

Result<void> allocate_space(int fd, std::int64_t bytes, const std::string& path) {
  int done = 0;
  do {
    done = ::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes);
  } while (done != 0 && errno == EINTR);
  if (done == 0) return {};
  if (errno == EOPNOTSUPP || errno == ENOSYS) {
    return fail(Code::kInvalid, "the file system of " + path + " can't allocate space ahead", "set preallocate_images = none");
  }
  return fail_file(errno, fmt::format("cannot allocate {} bytes for", bytes), path);
}

Result<void> check_growth(const std::string& address, std::optional<std::int64_t> now, std::int64_t wanted) {
  if (!now) return fail(Code::kNotFound, "the disk " + address + " is gone");
  if (wanted < *now) {
    return fail(Code::kInvalid, fmt::format("the disk {} has {} bytes and can't be made smaller ({} bytes)", address, *now, wanted),
                "use a flavor whose disk is at least as large");
  }
  return {};
}

}  // namespace ca
