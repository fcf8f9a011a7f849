#include "drivers/image/cache/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "drivers/files/durable_file.h"

namespace ca {

Result<FileLock> FileLock::acquire(const std::string& path, std::chrono::milliseconds wait, Mode mode) {
  using SteadyClock = std::chrono::steady_clock;
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd.valid()) return fail_file(errno, "cannot open lock file", path);
  const auto deadline = SteadyClock::now() + wait;
  // The kernel has no lock call with a deadline but a signal, so it is asked again with growing pauses.
  for (std::chrono::milliseconds pause{5};; pause = std::min(pause * 2, std::chrono::milliseconds{200})) {
    struct flock lock {};
    lock.l_type = mode == Mode::kShared ? F_RDLCK : F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (::fcntl(fd.get(), F_OFD_SETLK, &lock) == 0) return FileLock(std::move(fd));
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) return fail_file(errno, "cannot lock", path);
    if (SteadyClock::now() >= deadline) {
      return fail(Code::kTimeout, fmt::format("another process has held the lock {} for {} ms", path, wait.count()),
                  "find the process that holds it (lslocks), or wait until it is done");
    }
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace ca
