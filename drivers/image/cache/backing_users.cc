#include "drivers/image/cache/backing_users.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "agent/core/ids.h"
#include "drivers/files/durable_file.h"

namespace ca {
namespace {

constexpr int kDeepest = 4;  // <instances_path>/snapshots/<dir>/<file> is nova's deepest
constexpr std::size_t kLongestName = 1023;

std::uint64_t number_at(const std::array<unsigned char, 20>& header, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = at; i < at + bytes; ++i) value = value << 8 | header[i];
  return value;
}

// The backing file's name in a qcow or qcow2 header (all versions have it in one place); empty: there is none.
Result<std::string> backing_name(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid() && (errno == ENOENT || errno == ELOOP)) return std::string();
  if (!fd.valid()) return fail_file(errno, "cannot open", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_file(errno, "cannot stat", path);
  if (!S_ISREG(info.st_mode)) return std::string();
  std::array<unsigned char, 20> header{};
  const ssize_t got = ::pread(fd.get(), header.data(), header.size(), 0);
  if (got < 0) return fail_file(errno, "cannot read", path);
  if (got != static_cast<ssize_t>(header.size()) || number_at(header, 0, 4) != 0x514649fb) return std::string();
  const std::uint64_t offset = number_at(header, 8, 8), length = number_at(header, 16, 4);
  if (offset == 0 || length == 0 || length > kLongestName || offset > static_cast<std::uint64_t>(info.st_size)) return std::string();
  std::string name(length, '\0');
  const ssize_t read = ::pread(fd.get(), name.data(), name.size(), static_cast<off_t>(offset));
  if (read < 0) return fail_file(errno, "cannot read", path);
  name.resize(static_cast<std::size_t>(read));
  return name;
}

// The base in a backing file's name: a path, or QEMU's "json:{...}" with that path in it.
std::optional<std::string> base_in(const std::string& name, const std::string& base_dir) {
  const std::string folder = base_dir.substr(base_dir.rfind('/') + 1) + "/";
  const std::size_t found = name.rfind("/" + folder);
  const std::size_t begin = found != std::string::npos ? found + 1 + folder.size() : name.starts_with(folder) ? folder.size() : name.size();
  std::size_t end = begin;
  const auto of_a_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  };
  while (end < name.size() && of_a_name(name[end])) ++end;
  if (begin == end) return std::nullopt;
  return name.substr(begin, end - begin);
}

// "<uuid>_resize" and "<uuid>_del" are the instance's as well.
std::string instance_of(const std::string& name) {
  constexpr std::size_t kUuid = 36;
  return name.size() > kUuid && is_uuid(name.substr(0, kUuid)) ? name.substr(0, kUuid) : name;
}

// One directory and those below it. What vanishes meanwhile is deleted, or was renamed by somebody whose record still counts.
Result<void> walk(const std::string& directory, const std::string& user, const std::string& base_dir, int depth, BaseUsers& users) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string path = entry->path().string();
    std::error_code gone;
    const fs::file_status status = entry->symlink_status(gone);
    if (gone || path == base_dir) continue;
    const std::string whose = user.empty() ? instance_of(entry->path().filename().string()) : user;
    if (fs::is_directory(status) && depth < kDeepest) CA_TRY_VOID(walk(path, whose, base_dir, depth + 1, users));
    if (!fs::is_regular_file(status)) continue;
    CA_TRY(const std::string name, backing_name(path));
    if (const auto base = base_in(name, base_dir)) users[*base].insert(whose);
  }
  if (error && error.value() != ENOENT) return fail_file(error.value(), "cannot list", directory);
  return {};
}

}  // namespace

Result<BaseUsers> backing_users(const std::string& instances_path, const std::string& base_dir) {
  BaseUsers users;
  CA_TRY_VOID(walk(instances_path, "", base_dir, 0, users));
  return users;
}

}  // namespace ca
