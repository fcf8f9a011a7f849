// A library put in front of libc (LD_PRELOAD) that makes one write to a disk fail: a disk that is full or broken can't be made to fail at a
// chosen write otherwise. The test that maps the same control file sets which one, and with what error.
//
// FAILING_IO_CONTROL: the control file. FAILING_IO_UNDER: directories, separated by ':', whose files count; others are let through.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

struct Control {
  std::atomic<std::int32_t> armed;     // writes count while it is 1
  std::atomic<std::int32_t> seen;      // writes so far
  std::atomic<std::int32_t> fails_at;  // the number of the one that fails
  std::atomic<std::int32_t> error;     // with this errno
  std::atomic<std::int32_t> failed;    // 1: it did
};

Control* open_control() {
  const char* path = std::getenv("FAILING_IO_CONTROL");
  const int fd = path != nullptr ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return nullptr;
  void* map = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return map == MAP_FAILED ? nullptr : static_cast<Control*>(map);
}

Control* control() {
  static Control* const the = open_control();
  return the;
}

bool counts(std::string_view path) {
  static const std::string under = std::getenv("FAILING_IO_UNDER") != nullptr ? std::getenv("FAILING_IO_UNDER") : "";
  std::string_view rest(under);
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    rest = directory.size() < rest.size() ? rest.substr(directory.size() + 1) : std::string_view{};
    if (!directory.empty() && path.starts_with(directory)) return true;
  }
  return false;
}

std::string path_of(int fd) {
  std::string link = "/proc/self/fd/" + std::to_string(fd);
  std::string path(PATH_MAX, '\0');
  const ssize_t length = ::readlink(link.c_str(), path.data(), path.size());
  return length > 0 ? path.substr(0, static_cast<std::size_t>(length)) : std::string();
}

bool fails(std::string_view path) {
  Control* const the = control();
  if (the == nullptr || the->armed != 1 || !counts(path)) return false;
  if (++the->seen != the->fails_at) return false;
  the->failed = 1;
  errno = the->error;
  return true;
}

bool fails(int fd) {
  Control* const the = control();
  return the != nullptr && the->armed == 1 && fails(path_of(fd));
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

#define PASS_ON(name, ...) next<decltype(&::name)>(#name)(__VA_ARGS__)

extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) { return fails(fd) ? -1 : PASS_ON(write, fd, bytes, count); }
ssize_t writev(int fd, const iovec* parts, int count) { return fails(fd) ? -1 : PASS_ON(writev, fd, parts, count); }
ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) { return fails(fd) ? -1 : PASS_ON(pwrite64, fd, bytes, count, at); }
int ftruncate64(int fd, off64_t bytes) noexcept { return fails(fd) ? -1 : PASS_ON(ftruncate64, fd, bytes); }
int fallocate64(int fd, int mode, off64_t at, off64_t bytes) { return fails(fd) ? -1 : PASS_ON(fallocate64, fd, mode, at, bytes); }
int fsync(int fd) { return fails(fd) ? -1 : PASS_ON(fsync, fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : PASS_ON(fdatasync, fd); }
int rename(const char* from, const char* to) noexcept { return fails(std::string_view(to)) ? -1 : PASS_ON(rename, from, to); }
int mkdir(const char* path, mode_t mode) noexcept { return fails(std::string_view(path)) ? -1 : PASS_ON(mkdir, path, mode); }
ssize_t copy_file_range(int from, off64_t* from_at, int to, off64_t* to_at, size_t count, unsigned flags) {
  return fails(to) ? -1 : PASS_ON(copy_file_range, from, from_at, to, to_at, count, flags);
}

}  // extern "C"
