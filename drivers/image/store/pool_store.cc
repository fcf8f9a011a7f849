// Images in a pool of a storage cluster. The upload is digested and inspected as a file of the local store, as every upload is; what goes
// into the pool is the raw disk inside.

#include <fmt/format.h>

#include <algorithm>

#include "drivers/files/durable_file.h"
#include "drivers/image_pool.h"
#include "drivers/image_store.h"
#include "drivers/process.h"

namespace ca {
namespace {

struct Parts {
  std::unique_ptr<ImageStore> local;
  ImagePool& pool;
  ProcessRunner& runner;
  std::string qemu_img;
};

// Under the limits that the cache gives qemu-img; the inspector has looked at the file.
Result<void> convert(const Parts& parts, DiskFormat format, const std::string& from, const std::string& to, std::int64_t virtual_bytes) {
  const std::int64_t gib = std::min<std::int64_t>((virtual_bytes >> 30) + 1, 1024);
  ProcessSpec spec;
  const std::string driver = format == DiskFormat::kVhd ? "vpc" : std::string(to_string(format));
  spec.argv = {parts.qemu_img, "convert", "-f", driver, "-O", "raw", from, to};
  spec.cpu_seconds = 30 + 60 * gib;
  spec.wall_limit = std::chrono::seconds(60 + 120 * gib);
  spec.file_bytes = virtual_bytes + (1 << 20);
  spec.output_bytes = 64 << 10;
  CA_TRY(const ProcessResult result, parts.runner.run(spec));
  if (result.exit_status != 0) {
    return fail(Code::kExternal, fmt::format("{} convert ended with status {}: {:.400}", parts.qemu_img, result.exit_status, result.err));
  }
  // The disk inside must not be a container itself.
  CA_TRY(const auto source, open_file_source(to));
  CA_TRY_VOID(inspect_image(DiskFormat::kRaw, *source));
  return {};
}

std::string raw_path(const Parts& parts, const Uuid& id) { return parts.local->path(id) + ".raw.part"; }

// Puts the local store's file of the image into the pool.
Result<std::string> put(const Parts& parts, const Uuid& id, DiskFormat format, const StoredImage& stored) {
  const std::string file = parts.local->path(id);
  if (format == DiskFormat::kRaw || format == DiskFormat::kIso) return parts.pool.import(id, file);
  const std::string raw = raw_path(parts, id);
  CA_TRY_VOID(convert(parts, format, file, raw, stored.virtual_size_bytes));
  auto location = parts.pool.import(id, raw);
  CA_TRY_VOID(remove_file(raw));
  return location;
}

class PoolUpload final : public ImageUpload {
 public:
  PoolUpload(Parts& parts, Uuid id, DiskFormat format, std::unique_ptr<ImageUpload> local)
      : parts_(parts), id_(std::move(id)), format_(format), local_(std::move(local)) {}

  Result<void> append(std::span<const std::byte> bytes) override { return local_->append(bytes); }

  Result<StoredImage> finish() override {
    CA_TRY(StoredImage stored, local_->finish());
    auto location = put(parts_, id_, format_, stored);
    // The pool has it, or nobody has.
    const auto raw_gone = remove_file(raw_path(parts_, id_));
    const auto file_gone = parts_.local->remove(id_);
    if (!location) return tl::unexpected<Error>(std::move(location).error());
    CA_TRY_VOID(raw_gone);
    CA_TRY_VOID(file_gone);
    stored.location = *location;
    return stored;
  }

 private:
  Parts& parts_;
  Uuid id_;
  DiskFormat format_;
  std::unique_ptr<ImageUpload> local_;
};

class PoolStore final : public ImageStore {
 public:
  explicit PoolStore(Parts parts) : parts_(std::move(parts)) {}

  Result<std::unique_ptr<ImageUpload>> begin(const Uuid& id, DiskFormat format, std::int64_t max_bytes) override {
    CA_TRY(auto local, parts_.local->begin(id, format, max_bytes));
    return std::make_unique<PoolUpload>(parts_, id, format, std::move(local));
  }

  // The local file stays until remove(): only of it the digests can be taken again after a crash.
  Result<StoredImage> take(const Uuid& id, DiskFormat format, const std::string& file, std::int64_t max_bytes) override {
    CA_TRY(StoredImage stored, parts_.local->take(id, format, file, max_bytes));
    CA_TRY(stored.location, put(parts_, id, format, stored));
    return stored;
  }

  Result<void> remove(const Uuid& id) override {
    CA_TRY_VOID(parts_.pool.remove(id));
    return parts_.local->remove(id);
  }

  [[nodiscard]] bool may_refuse() const override { return true; }
  [[nodiscard]] std::string path(const Uuid& id) const override { return parts_.local->path(id); }

 private:
  Parts parts_;
};

}  // namespace

std::unique_ptr<ImageStore> make_pool_image_store(std::unique_ptr<ImageStore> local, ImagePool& pool, ProcessRunner& runner,
                                                  std::string qemu_img) {
  return std::make_unique<PoolStore>(Parts{std::move(local), pool, runner, std::move(qemu_img)});
}

}  // namespace ca
