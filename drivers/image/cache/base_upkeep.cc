#include "drivers/image/cache/base_upkeep.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "drivers/files/durable_file.h"

namespace ca {
namespace {

constexpr std::chrono::milliseconds kNoWait{0};
constexpr const char* kTrash = ".trash";
constexpr const char* kPart = ".part";
constexpr const char* kInfo = ".info";

std::string base_path(const ImageCacheOptions& options, const std::string& name) { return options.base_dir + "/" + name; }

std::int64_t wall_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// None: somebody else has it.
Result<std::optional<FileLock>> try_lock(const ImageCacheOptions& options, const std::string& name, FileLock::Mode mode) {
  auto lock = FileLock::acquire(lock_path(options, name), kNoWait, mode);
  if (lock) return std::optional<FileLock>(std::move(*lock));
  if (lock.error().code == Code::kTimeout) return std::optional<FileLock>();
  return tl::unexpected<Error>(std::move(lock).error());
}

// None: there is no such regular file.
Result<std::optional<struct stat>> file_facts(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return S_ISREG(info.st_mode) ? std::optional<struct stat>(info) : std::nullopt;
  if (errno == ENOENT) return std::nullopt;
  return fail_file(errno, "cannot stat", path);
}

std::int64_t micros(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000; }

// The name of the base that a file in _base belongs to, and what kind of file it is.
struct Leftover {
  std::string base;
  bool orphan_only = false;  // an .info is rubbish only without its base
};
std::optional<Leftover> leftover(std::string name) {
  bool rubbish = false;
  for (const char* ending : {kPart, kTrash}) {
    if (!name.ends_with(ending)) continue;
    name.resize(name.size() - std::string_view(ending).size());
    rubbish = true;
    break;
  }
  const bool info = name.ends_with(kInfo);
  if (info) name.resize(name.size() - std::string_view(kInfo).size());
  if (name.empty() || !(rubbish || info)) return std::nullopt;
  return Leftover{std::move(name), !rubbish};
}

struct Digested {
  std::string sha256;
  struct stat info {};
};

Result<Digested> digest_of(const std::string& path, const CheckLimits& limits) {
  CA_TRY(const OpenedFile file, open_regular(path));
  CA_TRY(std::string sha256, base_digest(file.fd.get(), path, file.info.st_size, limits));
  return Digested{std::move(sha256), file.info};
}

}  // namespace

std::string_view to_string(BaseCheck check) {
  switch (check) {
    case BaseCheck::kGood: return "good";
    case BaseCheck::kRecorded: return "recorded";
    case BaseCheck::kFetchedAgain: return "fetched again";
    case BaseCheck::kDamaged: return "damaged";
    case BaseCheck::kBusy: return "busy";
  }
  return "busy";
}

bool is_base_name(const std::string& name) {
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (name.size() == 40 && std::ranges::all_of(name, hex)) return true;
  const auto word = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_'; };
  return (name.starts_with("ephemeral_") || name.starts_with("swap_")) && name.size() < 40 && std::ranges::all_of(name, word);
}

std::string lock_path(const ImageCacheOptions& options, const std::string& name) { return options.locks_dir + "/nova-" + name; }

Result<void> mark_used(const std::string& path) {
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) == 0) return {};
  return fail_file(errno, "cannot set the time of last use of", path);
}

Result<std::vector<CachedBase>> list_bases(const ImageCacheOptions& options) {
  std::vector<CachedBase> bases;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(options.base_dir, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!is_base_name(name)) continue;
    CA_TRY(const auto facts, file_facts(entry->path().string()));
    if (!facts) continue;
    CA_TRY(const auto info, read_base_info(entry->path().string()));
    CachedBase base;
    base.name = name;
    base.size_bytes = facts->st_size;
    base.allocated_bytes = std::int64_t{facts->st_blocks} * 512;
    base.used_us = micros(facts->st_mtim);
    base.state = !info ? "unchecked" : info->damaged ? "damaged" : "good";
    if (info) base.image_id = info->image_id;
    if (info) base.checked_us = info->checked_us;
    bases.push_back(std::move(base));
  }
  if (error && error.value() != ENOENT) return fail_file(error.value(), "cannot list", options.base_dir);
  std::ranges::sort(bases, {}, &CachedBase::name);
  return bases;
}

Result<bool> remove_unused_base(const ImageCacheOptions& options, const std::string& name, std::chrono::seconds min_age,
                                const std::function<Result<bool>()>& in_use) {
  if (!is_base_name(name)) return fail(Code::kInvalid, fmt::format("\"{:.80}\" is not the name of a base", name));
  const std::string path = base_path(options, name);
  {
    CA_TRY(const auto lock, try_lock(options, name, FileLock::Mode::kExclusive));
    if (!lock) return false;
    CA_TRY(const auto facts, file_facts(path));
    if (!facts || wall_us() - micros(facts->st_mtim) < std::chrono::microseconds(min_age).count()) return false;
    CA_TRY(const bool used, in_use());
    if (used) return false;
    if (::rename(path.c_str(), (path + kTrash).c_str()) != 0) return fail_file(errno, "cannot rename to trash", path);
    CA_TRY_VOID(remove_base_info(path));
  }
  // A large file takes its time to go; nobody waits for it.
  CA_TRY_VOID(remove_file(path + kTrash));
  return true;
}

Result<void> remove_base_leftovers(const ImageCacheOptions& options) {
  CA_TRY_VOID(make_directories(options.locks_dir));
  std::error_code error;
  for (std::filesystem::directory_iterator entry(options.base_dir, error), end; !error && entry != end; entry.increment(error)) {
    const std::string path = entry->path().string();
    const auto found = leftover(entry->path().filename().string());
    if (!found) continue;
    CA_TRY(const auto lock, try_lock(options, found->base, FileLock::Mode::kExclusive));
    if (!lock) continue;
    CA_TRY(const auto base, file_facts(base_path(options, found->base)));
    if (!found->orphan_only || !base) CA_TRY_VOID(remove_file(path));
  }
  if (error && error.value() != ENOENT) return fail_file(error.value(), "cannot list", options.base_dir);
  return {};
}

Result<BaseCheck> check_base(const ImageCacheOptions& options, const std::string& name, const Uuid& image_id, const CheckLimits& limits,
                             const std::function<Result<void>()>& fetch_again) {
  const std::string path = base_path(options, name);
  Digested seen;
  {
    // Users go on meanwhile; only a removal has to wait for the next time.
    CA_TRY(const auto lock, try_lock(options, name, FileLock::Mode::kShared));
    if (!lock) return BaseCheck::kBusy;
    CA_TRY(seen, digest_of(path, limits));
  }
  CA_TRY(const FileLock lock, FileLock::acquire(lock_path(options, name), options.lock_wait));
  CA_TRY(const auto facts, file_facts(path));
  if (!facts || facts->st_ino != seen.info.st_ino || facts->st_dev != seen.info.st_dev) return BaseCheck::kBusy;
  CA_TRY(const auto known, read_base_info(path));
  BaseInfo info = known.value_or(BaseInfo{.sha256 = seen.sha256, .size_bytes = seen.info.st_size, .image_id = image_id});
  if (info.image_id.empty()) info.image_id = image_id;
  info.checked_us = wall_us();
  info.damaged = info.sha256 != seen.sha256 || info.size_bytes != seen.info.st_size;
  if (!info.damaged) {
    CA_TRY_VOID(write_base_info(path, info));
    return known ? BaseCheck::kGood : BaseCheck::kRecorded;
  }
  if (fetch_again) {
    if (auto fetched = fetch_again(); fetched) {
      CA_TRY(const Digested now, digest_of(path, limits));
      if (now.sha256 != info.sha256) spdlog::error("base {} was fetched again and its content differs from the first one's", path);
      CA_TRY_VOID(write_base_info(path, {now.sha256, now.info.st_size, info.image_id, wall_us(), false}));
      return BaseCheck::kFetchedAgain;
    } else {
      spdlog::error("base {} is damaged and can't be fetched again: {}; {}", path, fetched.error().chain(), fetched.error().action());
    }
  }
  CA_TRY_VOID(write_base_info(path, info));
  return BaseCheck::kDamaged;
}

}  // namespace ca
