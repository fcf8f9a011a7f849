#include "drivers/disk/raw/raw_backend.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "drivers/disk/base_check.h"
#include "drivers/disk/file_backend.h"
#include "drivers/files/durable_file.h"
#include "drivers/files/sparse_copy.h"

namespace ca {
namespace {

class RawBackend final : public FileBackend {
 public:
  using FileBackend::FileBackend;
  [[nodiscard]] std::string_view storage() const override { return "raw"; }
  [[nodiscard]] DiskFormat format() const override { return DiskFormat::kRaw; }

  Result<void> create(const DiskSpec& spec) override {
    auto made = make(spec);
    if (!made) return wrap(std::move(made).error(), "cannot create disk " + spec.path);
    return made;
  }

  Result<std::optional<std::int64_t>> size(const std::string& address) override {
    CA_TRY(const bool exists, regular_file_exists(address));
    if (!exists) return std::nullopt;
    CA_TRY(const OpenedFile file, open_regular(address));
    return file.info.st_size;
  }

  Result<void> resize(const std::string& address, std::int64_t size_bytes) override {
    CA_TRY(const std::optional<std::int64_t> now, size(address));
    CA_TRY_VOID(check_growth(address, now, size_bytes));
    if (::truncate(address.c_str(), size_bytes) != 0) return fail_file(errno, "cannot grow", address);
    return sync_file(address);
  }

 private:
  static Result<void> make(const DiskSpec& spec) {
    CA_TRY(const bool exists, regular_file_exists(spec.path));
    if (exists) return {};
    if (spec.base_format != DiskFormat::kRaw) {
      return fail(Code::kInvalid,
                  fmt::format("a raw disk is a copy of a raw base, but {} is {}", spec.base_path, to_string(spec.base_format)),
                  "set force_raw_images = true, or images_type = qcow2");
    }
    CA_TRY_VOID(check_disk_spec(spec));
    CA_TRY(const OpenedFile base, open_regular(spec.base_path));
    CA_TRY(DurableFile file, DurableFile::create(spec.path, 0600));
    CA_TRY_VOID(sparse_copy(base.fd.get(), spec.base_path, file.fd(), file.part_path(), base.info.st_size));
    CA_TRY_VOID(file.set_size(spec.size_bytes));
    if (spec.preallocate) CA_TRY_VOID(allocate_space(file.fd(), spec.size_bytes, file.part_path()));
    return file.commit();
  }
};

}  // namespace

std::unique_ptr<DiskBackend> make_raw_backend(std::string instances_path) {
  return std::make_unique<RawBackend>(std::move(instances_path));
}

}  // namespace ca
