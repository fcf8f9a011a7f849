#include "drivers/disk/rbd/image_pool.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <vector>

#include "drivers/disk/rbd/content.h"
#include "drivers/disk/rbd/names.h"
#include "drivers/disk/rbd/removal.h"
#include "drivers/files/durable_file.h"

namespace ca::rbd {
namespace {

std::int64_t round_to_sector(std::int64_t bytes) { return (bytes + 511) / 512 * 512; }

struct Clones {
  std::size_t count = 0;
  std::size_t in_trash = 0;
};

Result<Clones> clones_of(const PoolRef& pool, const Uuid& id) {
  auto image = Image::open(pool, id, Image::Mode::kRead, kImageSnapshot);
  if (!image && image.error().code == Code::kNotFound) return Clones{};
  if (!image) return tl::unexpected<Error>(std::move(image).error());
  std::vector<rbd_linked_image_spec_t> list(64);
  std::size_t count = list.size();
  int status = rbd_list_children3(image->get(), list.data(), &count);
  if (status == -ERANGE) {
    list.assign(count + 64, {});
    count = list.size();
    status = rbd_list_children3(image->get(), list.data(), &count);
  }
  CA_TRY_VOID(check_rbd(status, fmt::format("the clones of image {} can't be read", id)));
  Clones clones{count, 0};
  for (std::size_t i = 0; i < count; ++i) clones.in_trash += list[i].trash ? 1 : 0;
  rbd_linked_image_spec_list_cleanup(list.data(), count);
  return clones;
}

class RbdImagePool final : public ImagePool {
 public:
  RbdImagePool(Connection& connection, std::string pool) : connection_(connection), name_(std::move(pool)) {}

  Result<std::string> import(const Uuid& id, const std::string& raw_file) override {
    if (!is_uuid(id)) return fail(Code::kInvalid, "an image id is not a UUID");
    CA_TRY(const PoolRef pool, Pool::open(connection_, name_));
    CA_TRY(const std::string fsid, connection_.fsid());
    const std::string location = to_text(Location{fsid, name_, id, kImageSnapshot});
    CA_TRY(const bool there, has_image(pool, id));
    if (there) return location;
    CA_TRY_VOID(remove_pool_image(pool, id));
    std::int64_t size = 0;
    {
      CA_TRY(const OpenedFile file, open_regular(raw_file));
      size = round_to_sector(file.info.st_size);
    }
    auto made = create_from_file(pool, id, raw_file, size);
    if (made) made = protect_image(pool, id);
    if (made) return location;
    // Half an image would only take space; one that can't be removed now is removed before the next try.
    [[maybe_unused]] const auto removed = remove_pool_image(pool, id);
    return wrap(std::move(made).error(), fmt::format("image {} can't be put into the Ceph pool {}", id, name_));
  }

  Result<void> remove(const Uuid& id) override {
    if (!is_uuid(id)) return fail(Code::kInvalid, "an image id is not a UUID");
    CA_TRY(const PoolRef pool, Pool::open(connection_, name_));
    return remove_pool_image(pool, id);
  }

 private:
  Connection& connection_;
  std::string name_;
};

}  // namespace

Result<bool> has_image(const PoolRef& pool, const Uuid& id) {
  auto image = Image::open(pool, id, Image::Mode::kRead, kImageSnapshot);
  if (!image && image.error().code == Code::kNotFound) return false;
  if (!image) return tl::unexpected<Error>(std::move(image).error());
  int is_protected = 0;
  CA_TRY_VOID(
      check_rbd(rbd_snap_is_protected(image->get(), kImageSnapshot, &is_protected), "the snapshot of image " + id + " can't be read"));
  return is_protected != 0;
}

Result<void> protect_image(const PoolRef& pool, const Uuid& id) {
  CA_TRY(const Image image, Image::open(pool, id, Image::Mode::kWrite));
  if (const int status = rbd_snap_create(image.get(), kImageSnapshot); status != -EEXIST)
    CA_TRY_VOID(check_rbd(status, "cannot take the snapshot of image " + id));
  if (const int status = rbd_snap_protect(image.get(), kImageSnapshot); status != -EBUSY)  // -EBUSY: it is protected
    CA_TRY_VOID(check_rbd(status, "cannot protect the snapshot of image " + id));
  return {};
}

Result<void> remove_pool_image(const PoolRef& pool, const Uuid& id) {
  CA_TRY(const Clones clones, clones_of(pool, id));
  if (clones.count > 0) {
    return fail(Code::kConflict,
                fmt::format("Image {} could not be deleted because it is in use: {} disk{} in Ceph {} cloned from it{}", id, clones.count,
                            clones.count == 1 ? "" : "s", clones.count == 1 ? "is" : "are",
                            clones.in_trash > 0 ? fmt::format(" ({} of them in the trash)", clones.in_trash) : ""),
                "delete the instances that were made from it first");
  }
  {
    auto image = Image::open(pool, id, Image::Mode::kWrite);
    if (!image && image.error().code == Code::kNotFound) return remove_image(pool, id);
    if (!image) return tl::unexpected<Error>(std::move(image).error());
    CA_TRY_VOID(remove_snapshot(*image, kImageSnapshot));
  }
  return remove_image(pool, id);
}

std::unique_ptr<ImagePool> make_image_pool(Connection& connection, const std::string& pool) {
  return std::make_unique<RbdImagePool>(connection, pool);
}

}  // namespace ca::rbd
