#include "drivers/disk/qcow2/qcow2_backend.h"

#include "drivers/disk/base_check.h"
#include "drivers/disk/qcow2/overlay_layout.h"
#include "drivers/files/durable_file.h"

namespace ca {
namespace {

class Qcow2Backend final : public DiskBackend {
 public:
  [[nodiscard]] DiskFormat format() const override { return DiskFormat::kQcow2; }

  Result<void> create(const DiskSpec& spec) override {
    auto made = make(spec);
    if (!made) return wrap(std::move(made).error(), "cannot create overlay " + spec.path);
    return made;
  }

  Result<void> remove(const std::string& path) override {
    CA_TRY_VOID(remove_file(path + ".part"));
    return remove_file(path);
  }

 private:
  static Result<void> make(const DiskSpec& spec) {
    CA_TRY(const bool exists, regular_file_exists(spec.path));
    if (exists) return {};
    CA_TRY_VOID(check_disk_spec(spec));
    // qemu counts in sectors and rounds up, as its own create does.
    const std::int64_t size = (spec.size_bytes + 511) / 512 * 512;
    CA_TRY(const OverlayLayout layout,
           overlay_layout({.backing_file = spec.base_path, .backing_format = spec.base_format, .size_bytes = size}));
    CA_TRY(DurableFile file, DurableFile::create(spec.path, 0600));
    for (const auto& piece : layout.pieces) CA_TRY_VOID(file.write_at(piece.offset, piece.bytes));
    CA_TRY_VOID(file.set_size(layout.file_size));
    return file.commit();
  }
};

}  // namespace

std::unique_ptr<DiskBackend> make_qcow2_backend() { return std::make_unique<Qcow2Backend>(); }

}  // namespace ca
