#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "drivers/files/durable_file.h"
#include "drivers/files/sparse_copy.h"
#include "drivers/volume.h"

namespace ca {
namespace {

bool same_times(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

class FileVolumes final : public VolumeBackend {
 public:
  explicit FileVolumes(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] std::string_view name() const override { return "file"; }

  [[nodiscard]] DiskSource source(const Uuid& volume) const override {
    DiskSource source;
    source.path = volume_path(volume);
    return source;
  }

  Result<void> create(const VolumeSpec& spec) override {
    auto made = make(spec);
    if (!made) return wrap(std::move(made).error(), "cannot make volume " + spec.id);
    return made;
  }

  Result<void> remove(const Uuid& volume) override { return remove_with_part(volume_path(volume)); }

  Result<void> extend(const Uuid& volume, std::int64_t size_bytes) override {
    CA_TRY(const auto now, size(volume));
    const std::string path = volume_path(volume);
    if (!now) return fail(Code::kNotFound, "the file of volume " + volume + ", " + path + ", is gone", "restore it from a backup");
    if (*now == size_bytes) return {};
    if (*now > size_bytes) {
      return fail(Code::kInvalid, fmt::format("volume {} has {} bytes and can't be made smaller ({} bytes)", volume, *now, size_bytes));
    }
    if (::truncate(path.c_str(), size_bytes) != 0) return fail_file(errno, "cannot grow", path);
    return sync_file(path);
  }

  Result<std::optional<std::int64_t>> size(const Uuid& volume) override {
    CA_TRY(const bool there, regular_file_exists(volume_path(volume)));
    if (!there) return std::nullopt;
    CA_TRY(const OpenedFile file, open_regular(volume_path(volume)));
    return file.info.st_size;
  }

  Result<void> create_snapshot(const Uuid& snapshot, const Uuid& volume) override {
    const std::string path = snapshot_path(snapshot);
    CA_TRY(const bool there, regular_file_exists(path));
    if (there) return {};
    auto made = copy(volume_path(volume), path, 0);
    if (!made) return wrap(std::move(made).error(), fmt::format("cannot make snapshot {} of volume {}", snapshot, volume));
    return made;
  }

  Result<void> remove_snapshot(const Uuid& snapshot, const Uuid& /*volume*/) override { return remove_with_part(snapshot_path(snapshot)); }

  Result<std::optional<std::string>> begin_live_snapshot(const Uuid& snapshot, const Uuid& volume) override {
    CA_TRY(const auto bytes, size(volume));
    if (!bytes) return fail(Code::kNotFound, "the file of volume " + volume + ", " + volume_path(volume) + ", is gone");
    const std::string path = live_path(snapshot);
    CA_TRY_VOID(remove_with_part(path));
    CA_TRY(DurableFile file, DurableFile::create(path, 0600));
    CA_TRY_VOID(file.set_size(*bytes));
    CA_TRY_VOID(file.commit());
    return path;
  }

  Result<void> finish_live_snapshot(const Uuid& snapshot) override {
    const std::string from = live_path(snapshot);
    const std::string to = snapshot_path(snapshot);
    CA_TRY_VOID(sync_file(from));
    if (std::rename(from.c_str(), to.c_str()) != 0) return fail_file(errno, "cannot rename", from);
    return fsync_parent(to);
  }

 private:
  [[nodiscard]] std::string volume_path(const Uuid& id) const { return directory_ + "/volume-" + id; }
  [[nodiscard]] std::string snapshot_path(const Uuid& id) const { return directory_ + "/snapshot-" + id; }
  [[nodiscard]] std::string live_path(const Uuid& id) const { return snapshot_path(id) + ".live"; }

  static Result<void> remove_with_part(const std::string& path) {
    for (const char* end : {".part", ".live.part", ".live", ""}) CA_TRY_VOID(remove_file(path + end));
    return {};
  }

  Result<void> make(const VolumeSpec& spec) const {
    CA_TRY_VOID(make_directories(directory_));
    const std::string path = volume_path(spec.id);
    CA_TRY(const bool there, regular_file_exists(path));
    if (there) return {};
    if (!spec.snapshot_id.empty()) return copy(snapshot_path(spec.snapshot_id), path, spec.size_bytes);
    if (!spec.source_volume_id.empty()) return copy(volume_path(spec.source_volume_id), path, spec.size_bytes);
    if (!spec.image_path.empty()) return copy(spec.image_path, path, spec.size_bytes);
    CA_TRY(DurableFile file, DurableFile::create(path, 0600));
    CA_TRY_VOID(file.set_size(spec.size_bytes));
    return file.commit();
  }

  // `bytes` 0: as large as the source.
  static Result<void> copy(const std::string& from, const std::string& to, std::int64_t bytes) {
    CA_TRY(const OpenedFile source, open_regular(from));
    if (bytes > 0 && source.info.st_size > bytes) {
      return fail(Code::kInvalid,
                  fmt::format("{} has {} bytes, more than the {} of what is made from it", from, source.info.st_size, bytes),
                  "give a larger size");
    }
    CA_TRY(DurableFile file, DurableFile::create(to, 0600));
    CA_TRY_VOID(sparse_copy(source.fd.get(), from, file.fd(), file.part_path(), source.info.st_size));
    CA_TRY(const OpenedFile after, open_regular(from));
    if (!same_times(source.info, after.info)) {
      return fail(Code::kConflict, from + " was written to while it was copied", "order it again when no guest uses the volume");
    }
    if (bytes > 0) CA_TRY_VOID(file.set_size(bytes));
    return file.commit();
  }

  const std::string directory_;
};

}  // namespace

std::unique_ptr<VolumeBackend> make_file_volumes(std::string directory) { return std::make_unique<FileVolumes>(std::move(directory)); }

}  // namespace ca
