#include "drivers/files/instance_dir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "drivers/files/durable_file.h"

namespace ca {

Result<void> write_text_file(const std::string& path, std::string_view text, unsigned mode) {
  CA_TRY(DurableFile file, DurableFile::create(path, mode));
  CA_TRY_VOID(file.write_at(0, std::as_bytes(std::span(text.data(), text.size()))));
  return file.commit();
}

Result<void> remove_tree(const std::string& path) {
  const std::string doomed = path + "_del";
  std::error_code error;
  // From an earlier try that was cut off.
  std::filesystem::remove_all(doomed, error);
  if (error) return fail_file(error.value(), "cannot remove " + doomed, doomed);
  if (::rename(path.c_str(), doomed.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return fail_file(errno, "cannot rename " + path + " to " + doomed, path);
  }
  std::filesystem::remove_all(doomed, error);
  if (error) return fail_file(error.value(), "cannot remove " + doomed, doomed);
  return fsync_parent(path);
}

Result<std::string> read_tail(const std::string& path, std::size_t max_bytes) {
  auto opened = open_regular(path);
  if (!opened) {
    if (opened.error().code == Code::kNotFound) return std::string();
    return tl::unexpected<Error>(std::move(opened).error());
  }
  const auto size = static_cast<std::size_t>(opened->info.st_size);
  const std::size_t wanted = std::min(size, max_bytes);
  std::string text(wanted, '\0');
  std::size_t have = 0;
  while (have < wanted) {
    const ssize_t got = ::pread(opened->fd.get(), text.data() + have, wanted - have, static_cast<off_t>(size - wanted + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_file(errno, "cannot read " + path, path);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  return text;
}

}  // namespace ca
