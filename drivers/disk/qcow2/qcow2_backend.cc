#include "drivers/disk/qcow2/qcow2_backend.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "drivers/disk/base_check.h"
#include "drivers/disk/file_backend.h"
#include "drivers/disk/qcow2/overlay_layout.h"
#include "drivers/files/durable_file.h"

namespace ca {
namespace {

// qemu counts in sectors and rounds up, as its own create does.
std::int64_t round_to_sector(std::int64_t bytes) { return (bytes + 511) / 512 * 512; }

class Qcow2Backend final : public FileBackend {
 public:
  Qcow2Backend(std::string instances_path, ProcessRunner& runner, std::string qemu_img)
      : FileBackend(std::move(instances_path)), runner_(runner), qemu_img_(std::move(qemu_img)) {}
  [[nodiscard]] std::string_view storage() const override { return "qcow2"; }
  [[nodiscard]] DiskFormat format() const override { return DiskFormat::kQcow2; }

  Result<void> create(const DiskSpec& spec) override {
    auto made = make(spec);
    if (!made) return wrap(std::move(made).error(), "cannot create overlay " + spec.path);
    return made;
  }

  Result<std::optional<std::int64_t>> size(const std::string& address) override {
    CA_TRY(const bool exists, regular_file_exists(address));
    if (!exists) return std::nullopt;
    CA_TRY(const OpenedFile file, open_regular(address));
    std::array<std::byte, 32> header{};
    // What a shorter file lacks stays zero, which is no header.
    if (::pread(file.fd.get(), header.data(), header.size(), 0) < 0) return fail_file(errno, "cannot read", address);
    return qcow2_virtual_size(header);
  }

  Result<void> resize(const std::string& address, std::int64_t size_bytes) override {
    CA_TRY(const std::optional<std::int64_t> now, size(address));
    CA_TRY_VOID(check_growth(address, now, size_bytes));
    return now == round_to_sector(size_bytes) ? Result<void>{} : grow(address, round_to_sector(size_bytes));
  }

 private:
  static Result<void> make(const DiskSpec& spec) {
    CA_TRY(const bool exists, regular_file_exists(spec.path));
    if (exists) return {};
    CA_TRY_VOID(check_disk_spec(spec));
    const std::int64_t size = round_to_sector(spec.size_bytes);
    CA_TRY(const OverlayLayout layout,
           overlay_layout({.backing_file = spec.base_path, .backing_format = spec.base_format, .size_bytes = size}));
    CA_TRY(DurableFile file, DurableFile::create(spec.path, 0600));
    for (const auto& piece : layout.pieces) CA_TRY_VOID(file.write_at(piece.offset, piece.bytes));
    CA_TRY_VOID(file.set_size(layout.file_size));
    if (spec.preallocate) CA_TRY_VOID(allocate_space(file.fd(), size, file.part_path()));
    return file.commit();
  }

  // The format is given, so qemu-img takes nothing in the disk for another header; the limits are nova's qemu_img_limits.
  Result<void> grow(const std::string& address, std::int64_t size_bytes) {
    ProcessSpec spec;
    spec.argv = {qemu_img_, "resize", "-q", "-f", "qcow2", address, std::to_string(size_bytes)};
    CA_TRY(const ProcessResult result, runner_.run(spec));
    if (result.exit_status == 0) return sync_file(address);
    return fail(Code::kExternal, fmt::format("{} cannot grow {}: status {}: {:.400}", qemu_img_, address, result.exit_status, result.err));
  }

  ProcessRunner& runner_;
  std::string qemu_img_;
};

}  // namespace

std::unique_ptr<DiskBackend> make_qcow2_backend(std::string instances_path, ProcessRunner& runner, std::string qemu_img) {
  return std::make_unique<Qcow2Backend>(std::move(instances_path), runner, std::move(qemu_img));
}

}  // namespace ca
