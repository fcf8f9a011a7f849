#include "drivers/image/cache/image_cache.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>

#include "agent/core/ids.h"
#include "drivers/files/durable_file.h"
#include "drivers/files/sparse_copy.h"
#include "drivers/image/cache/backing_users.h"
#include "drivers/image/cache/base_upkeep.h"
#include "drivers/image/cache/blank_base.h"
#include "drivers/image/cache/content_check.h"
#include "drivers/image/cache/file_lock.h"
#include "drivers/image/sources/file_bytes.h"

namespace ca {
namespace {

// qemu-img works in sectors: a converted disk ends at a full one.
std::int64_t round_to_sector(std::int64_t bytes) { return (bytes + 511) / 512 * 512; }

Result<ImageFacts> inspect_fd(DiskFormat format, int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_errno(errno, "cannot stat an image");
  return inspect_image(format, FileBytes(fd, info.st_size));
}

bool same_file(const struct stat& a, const struct stat& b) {
  const auto same_time = [](const timespec& x, const timespec& y) { return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec; };
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size && same_time(a.st_mtim, b.st_mtim) &&
         same_time(a.st_ctim, b.st_ctim);
}

Result<void> check_size(const char* what, std::int64_t found, std::int64_t recorded) {
  if (recorded <= 0 || found == recorded) return {};
  return fail(Code::kInvalid, fmt::format("its {} is {} bytes, but its record says {}", what, found, recorded),
              "delete the image and create it again");
}

// One fetch of one image into the cache: everything between "nobody has it" and "complete in _base".
class Fetch {
 public:
  Fetch(const ImageCacheOptions& options, ImageSource& source, ProcessRunner& runner, const ImageMeta& image, const BaseImage& wanted)
      : options_(options), source_(source), runner_(runner), image_(image), wanted_(wanted) {}

  Result<BaseImage> run();

 private:
  Result<void> copy(DurableFile& part);
  Result<void> convert(DurableFile& part, std::int64_t virtual_size);
  Result<void> run_qemu_img(const DurableFile& part, std::int64_t virtual_size);
  Result<void> check_unchanged();

  const ImageCacheOptions& options_;
  ImageSource& source_;
  ProcessRunner& runner_;
  const ImageMeta& image_;
  const BaseImage& wanted_;
  std::string path_;  // of the source
  OpenedFile file_;   // the source, opened once
};

Result<BaseImage> Fetch::run() {
  CA_TRY(path_, source_.local_path(image_));
  CA_TRY(file_, open_regular(path_));
  CA_TRY_VOID(check_size("file", file_.info.st_size, image_.size_bytes));
  CA_TRY(const ImageFacts facts, inspect_fd(image_.disk_format, file_.fd.get()));
  CA_TRY_VOID(check_size("virtual size", facts.virtual_size_bytes, image_.virtual_size_bytes));
  CA_TRY(DurableFile part, DurableFile::create(wanted_.path, 0644));
  BaseImage base{.path = wanted_.path, .format = wanted_.format, .virtual_size_bytes = facts.virtual_size_bytes};
  if (image_.disk_format == wanted_.format || image_.disk_format == DiskFormat::kIso) {
    CA_TRY_VOID(copy(part));
  } else {
    base.virtual_size_bytes = round_to_sector(facts.virtual_size_bytes);
    CA_TRY_VOID(convert(part, base.virtual_size_bytes));
  }
  CA_TRY_VOID(part.commit());
  return base;
}

// The copy is hashed and inspected as well: what was checked is what is used.
Result<void> Fetch::copy(DurableFile& part) {
  CA_TRY(ContentCheck check, ContentCheck::create(image_));
  const ByteSink sink = check.wanted() ? ByteSink([&](std::span<const std::byte> bytes) { check.update(bytes); }) : ByteSink{};
  CA_TRY_VOID(sparse_copy(file_.fd.get(), path_, part.fd(), part.part_path(), file_.info.st_size, sink));
  CA_TRY_VOID(check.finish());
  CA_TRY_VOID(inspect_fd(image_.disk_format, part.fd()));
  return {};
}

// The source is inspected and hashed through one descriptor and then read by qemu-img by its path. That these
// are the same bytes rests on two things: the store belongs to the agent alone, and inode, size and times are
// compared after qemu-img ended.
Result<void> Fetch::convert(DurableFile& part, std::int64_t virtual_size) {
  CA_TRY(ContentCheck check, ContentCheck::create(image_));
  if (check.wanted()) {
    const ByteSink sink = [&](std::span<const std::byte> bytes) { check.update(bytes); };
    CA_TRY_VOID(read_through(file_.fd.get(), path_, file_.info.st_size, sink));
    CA_TRY_VOID(check.finish());
  }
  CA_TRY_VOID(check_unchanged());
  CA_TRY_VOID(run_qemu_img(part, virtual_size));
  CA_TRY_VOID(check_unchanged());
  // The disk inside must not be a container itself: nothing that probes the base later may be led astray.
  CA_TRY(const ImageFacts result, inspect_fd(DiskFormat::kRaw, part.fd()));
  if (result.virtual_size_bytes != virtual_size) {
    return fail(Code::kExternal, fmt::format("{} made {} bytes of an image with a virtual size of {}", options_.qemu_img,
                                             result.virtual_size_bytes, virtual_size));
  }
  return {};
}

Result<void> Fetch::check_unchanged() {
  CA_TRY(const OpenedFile now, open_regular(path_));
  if (same_file(now.info, file_.info)) return {};
  return fail(Code::kUnsafe, "its stored file " + path_ + " changed while it was read", "find out who writes there, then try again");
}

Result<void> Fetch::run_qemu_img(const DurableFile& part, std::int64_t virtual_size) {
  constexpr std::int64_t kGiB = std::int64_t{1} << 30;
  constexpr std::int64_t kSlack = 1 << 20;
  const std::int64_t gib = std::min<std::int64_t>(virtual_size / kGiB + 1, 1024);
  ProcessSpec spec;
  // Page cache and one fsync of ours rather than "-t none": direct I/O is not there on every file system.
  // Paths start with "/", so qemu cannot take them for a protocol.
  spec.argv = {options_.qemu_img,
               "convert",
               "-f",
               image_.disk_format == DiskFormat::kVhd ? "vpc" : std::string(to_string(image_.disk_format)),
               "-O",
               "raw",
               path_,
               part.part_path()};
  spec.cpu_seconds = 30 + 60 * gib;
  spec.wall_limit = std::chrono::seconds(60 + 120 * gib);
  spec.file_bytes = virtual_size + kSlack;
  spec.output_bytes = 64 << 10;
  CA_TRY(const ProcessResult result, runner_.run(spec));
  if (result.exit_status == 0) return {};
  if (result.err.find("No space left on device") != std::string::npos) return fail_file(ENOSPC, "qemu-img cannot write", part.part_path());
  return fail(Code::kExternal, fmt::format("{} convert ended with status {}: {:.400}", options_.qemu_img, result.exit_status, result.err));
}

class BaseImageCache final : public ImageCache {
 public:
  BaseImageCache(ImageCacheOptions options, ImageSource& source, ProcessRunner& runner)
      : options_(std::move(options)), source_(source), runner_(runner) {}

  Result<BaseImage> fetch(const ImageMeta& image) override;
  Result<HeldBase> hold(const ImageMeta& image) override;
  Result<HeldBase> hold_blank(const BlankDisk& disk) override;
  Result<std::vector<CachedBase>> list() override { return list_bases(options_); }
  Result<BaseUsers> users_on_disk(const std::string& instances_path) override { return backing_users(instances_path, options_.base_dir); }
  Result<bool> remove_unused(const std::string& name, std::chrono::seconds min_age, const std::function<Result<bool>()>& in_use) override {
    return remove_unused_base(options_, name, min_age, in_use);
  }
  Result<BaseCheck> check(const std::string& name, const ImageMeta* image, const CheckLimits& limits) override;
  [[nodiscard]] std::string base_path(const ImageMeta& image) const override;
  Result<void> remove_unfinished() override { return remove_base_leftovers(options_); }
  Result<std::int64_t> allocated_bytes() override;

 private:
  using Outcome = Result<BaseImage>;

  [[nodiscard]] Result<BaseImage> wanted_for(const ImageMeta& image) const;
  Result<bool> find_complete(BaseImage& base) const;
  Outcome fetch_alone(const ImageMeta& image, BaseImage base);
  Outcome fetch_locked(const ImageMeta& image, BaseImage base);
  Result<HeldBase> hold_found(BaseImage base, const std::function<Result<BaseImage>()>& make);
  Result<BaseImage> make_blank(const BlankDisk& disk, BaseImage base);
  void tell_of(const std::string& path) const;

  const ImageCacheOptions options_;
  ImageSource& source_;
  ProcessRunner& runner_;
  std::mutex mutex_;                                            // guards running_ only; never held across I/O
  std::map<std::string, std::shared_future<Outcome>> running_;  // by base path
};

std::string BaseImageCache::base_path(const ImageMeta& image) const { return options_.base_dir + "/" + sha1_hex(image.id).value_or(""); }

Result<BaseImage> BaseImageCache::wanted_for(const ImageMeta& image) const {
  if (!is_uuid(image.id)) return fail(Code::kInvalid, "an image id is not a UUID");
  CA_TRY(const std::string name, sha1_hex(image.id));
  const bool keep = !options_.force_raw_images && image.disk_format == DiskFormat::kQcow2;
  return BaseImage{.path = options_.base_dir + "/" + name, .format = keep ? DiskFormat::kQcow2 : DiskFormat::kRaw};
}

// Whether the base is there; then its virtual size is filled in. Its name appears by rename only, so what is
// there is complete.
Result<bool> BaseImageCache::find_complete(BaseImage& base) const {
  CA_TRY(const bool exists, regular_file_exists(base.path));
  if (!exists) return false;
  CA_TRY(const OpenedFile file, open_regular(base.path));
  const auto facts = inspect_fd(base.format, file.fd.get());
  if (!facts) {
    return wrap(facts.error(), fmt::format("{} is not the {} image that is expected there", base.path, to_string(base.format)),
                "if force_raw_images was changed, set it back; else move the file away once no disk uses it "
                "(computectl fetches it again)");
  }
  base.virtual_size_bytes = facts->virtual_size_bytes;
  return true;
}

Result<BaseImage> BaseImageCache::fetch(const ImageMeta& image) {
  CA_TRY(BaseImage base, wanted_for(image));
  CA_TRY(const bool complete, find_complete(base));
  if (complete) return base;

  std::promise<Outcome> promise;
  std::shared_future<Outcome> running;
  {
    const std::lock_guard lock(mutex_);
    const auto [entry, first] = running_.try_emplace(base.path);
    if (first) {
      entry->second = promise.get_future().share();
    } else {
      running = entry->second;
    }
  }
  if (running.valid()) return running.get();
  Outcome outcome = fetch_alone(image, base);
  {
    const std::lock_guard lock(mutex_);
    running_.erase(base.path);
  }
  promise.set_value(outcome);
  return outcome;
}

// Never throws: others wait for the outcome.
Result<BaseImage> BaseImageCache::fetch_alone(const ImageMeta& image, BaseImage base) {
  Outcome outcome;
  try {
    outcome = fetch_locked(image, std::move(base));
  } catch (const std::exception& error) {
    outcome = fail(Code::kInternal, error.what());
  }
  if (outcome) return outcome;
  return wrap(std::move(outcome).error(), fmt::format("cannot fetch image {} into {}", image.id, options_.base_dir));
}

Result<BaseImage> BaseImageCache::fetch_locked(const ImageMeta& image, BaseImage base) {
  CA_TRY_VOID(make_directories(options_.base_dir));
  CA_TRY_VOID(make_directories(options_.locks_dir));
  const std::string name = base.path.substr(base.path.rfind('/') + 1);
  CA_TRY(const FileLock lock, FileLock::acquire(options_.locks_dir + "/nova-" + name, options_.lock_wait));
  CA_TRY(const bool complete, find_complete(base));  // another process may have been first
  if (complete) return base;
  CA_TRY_VOID(remove_base_info(base.path));
  CA_TRY(BaseImage fetched, Fetch(options_, source_, runner_, image, base).run());
  spdlog::info("image {} is in the cache: {} ({}, {} bytes)", image.id, fetched.path, to_string(fetched.format),
               fetched.virtual_size_bytes);
  tell_of(fetched.path);
  return fetched;
}

void BaseImageCache::tell_of(const std::string& path) const {
  if (options_.on_new_base) options_.on_new_base(path.substr(path.rfind('/') + 1));
}

// Between the making and the hold a base may be removed; then it is made again.
Result<HeldBase> BaseImageCache::hold_found(BaseImage base, const std::function<Result<BaseImage>()>& make) {
  constexpr int kTries = 5;
  const std::string name = base.path.substr(base.path.rfind('/') + 1);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    CA_TRY(base, make());
    CA_TRY(FileLock lock, FileLock::acquire(lock_path(options_, name), options_.lock_wait, FileLock::Mode::kShared));
    CA_TRY(const bool there, find_complete(base));
    if (!there) continue;
    CA_TRY(const auto info, read_base_info(base.path));
    if (info && info->damaged) {
      return fail(Code::kIo, fmt::format("the base image {} is damaged: it has not the checksum that was recorded", base.path),
                  fmt::format("`computectl image cache verify {}` fetches it again while its image is there", name));
    }
    CA_TRY_VOID(mark_used(base.path));
    return HeldBase{std::move(base), std::make_shared<const FileLock>(std::move(lock))};
  }
  return fail(Code::kUnavailable, fmt::format("the base image {} was removed {} times while it was wanted", base.path, kTries));
}

Result<HeldBase> BaseImageCache::hold(const ImageMeta& image) {
  CA_TRY(BaseImage base, wanted_for(image));
  return hold_found(std::move(base), [&] { return fetch(image); });
}

Result<HeldBase> BaseImageCache::hold_blank(const BlankDisk& disk) {
  const std::string name = blank_base_name(disk);
  if (name.empty())
    return fail(Code::kInvalid, fmt::format("there is no blank disk of {} bytes as \"{:.32}\"", disk.size_bytes, disk.format));
  const BaseImage base{.path = options_.base_dir + "/" + name, .format = DiskFormat::kRaw, .virtual_size_bytes = disk.size_bytes};
  auto held = hold_found(base, [&] { return make_blank(disk, base); });
  if (!held) return wrap(std::move(held).error(), fmt::format("cannot make the base {} of a blank disk", base.path));
  return held;
}

Result<BaseImage> BaseImageCache::make_blank(const BlankDisk& disk, BaseImage base) {
  CA_TRY_VOID(make_directories(options_.base_dir));
  CA_TRY_VOID(make_directories(options_.locks_dir));
  const std::string name = base.path.substr(base.path.rfind('/') + 1);
  CA_TRY(const bool there, regular_file_exists(base.path));
  if (there) return base;
  CA_TRY(const FileLock lock, FileLock::acquire(lock_path(options_, name), options_.lock_wait));
  CA_TRY(const bool meanwhile, regular_file_exists(base.path));
  if (meanwhile) return base;
  CA_TRY_VOID(remove_base_info(base.path));
  CA_TRY_VOID(make_blank_base(disk, base.path, runner_));
  tell_of(base.path);
  return base;
}

Result<BaseCheck> BaseImageCache::check(const std::string& name, const ImageMeta* image, const CheckLimits& limits) {
  if (!is_base_name(name)) return fail(Code::kInvalid, fmt::format("\"{:.80}\" is not the name of a base", name));
  std::function<Result<void>()> fetch_again;
  if (image != nullptr) {
    fetch_again = [&]() -> Result<void> {
      CA_TRY(const BaseImage wanted, wanted_for(*image));
      CA_TRY_VOID(Fetch(options_, source_, runner_, *image, wanted).run());
      return {};
    };
  }
  return check_base(options_, name, image != nullptr ? image->id : Uuid(), limits, fetch_again);
}

Result<std::int64_t> BaseImageCache::allocated_bytes() {
  std::int64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(options_.base_dir, error), end; !error && entry != end; entry.increment(error)) {
    struct stat info {};
    // What vanished meanwhile counts nothing.
    if (::lstat(entry->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) bytes += std::int64_t{info.st_blocks} * 512;
  }
  if (error && error.value() != ENOENT) return fail_file(error.value(), "cannot list", options_.base_dir);
  return bytes;
}

}  // namespace

std::unique_ptr<ImageCache> make_image_cache(ImageCacheOptions options, ImageSource& source, ProcessRunner& runner) {
  return std::make_unique<BaseImageCache>(std::move(options), source, runner);
}

}  // namespace ca
