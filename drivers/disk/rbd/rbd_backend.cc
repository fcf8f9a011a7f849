#include "drivers/disk/rbd/rbd_backend.h"

#include <fmt/format.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <vector>

#include "drivers/disk/base_check.h"
#include "drivers/disk/rbd/content.h"
#include "drivers/disk/rbd/holders.h"
#include "drivers/disk/rbd/image_pool.h"
#include "drivers/disk/rbd/names.h"
#include "drivers/disk/rbd/removal.h"
#include "drivers/disk/rbd/snapshots.h"
#include "drivers/files/durable_file.h"

namespace ca::rbd {
namespace {

constexpr const char* kRecordKey = "compute-agent.instance";

struct FreeOptions {
  void operator()(void* options) const { rbd_image_options_destroy(options); }
};

std::int64_t round_to_sector(std::int64_t bytes) { return (bytes + 511) / 512 * 512; }

Result<void> clone(const PoolRef& parent_pool, const std::string& parent, const char* snapshot, const PoolRef& pool,
                   const std::string& name) {
  rbd_image_options_t options = nullptr;
  rbd_image_options_create(&options);
  const std::unique_ptr<void, FreeOptions> owned(options);
  return check_rbd(rbd_clone3(parent_pool->io(), parent.c_str(), snapshot, pool->io(), name.c_str(), options),
                   fmt::format("cannot clone {}/{}@{} as {}/{}", parent_pool->name(), parent, snapshot, pool->name(), name));
}

Result<void> grow(const Image& image, std::int64_t size_bytes) {
  CA_TRY(const std::int64_t now, size_of(image));
  if (now >= size_bytes) return {};
  return check_rbd(rbd_resize(image.get(), static_cast<std::uint64_t>(size_bytes)), fmt::format("cannot grow to {} bytes", size_bytes));
}

class RbdBackend final : public DiskBackend {
 public:
  RbdBackend(Connection& connection, RbdOptions options)
      : connection_(connection), options_(std::move(options)), monitors_(parse_monitors(connection.setting("mon_host").value_or(""))) {}

  [[nodiscard]] std::string_view storage() const override { return "rbd"; }
  [[nodiscard]] DiskFormat format() const override { return DiskFormat::kRaw; }
  [[nodiscard]] std::string address(const Uuid& instance, const std::string& name) const override {
    return options_.pool + "/" + instance + "_" + name;
  }
  [[nodiscard]] DiskSource source(const std::string& address) const override;
  [[nodiscard]] bool takes_directly(const ImageMeta& image) const override { return image.location.starts_with("rbd://"); }

  Result<void> create(const DiskSpec& spec) override;
  Result<bool> create_from_image(const ImageMeta& image, const std::string& address, std::int64_t size_bytes) override;
  Result<void> flatten(const std::string& address) override;
  Result<void> import(const std::string& file, const std::string& address) override;
  Result<void> remove(const std::string& address) override;
  Result<void> remove_all(const Uuid& instance) override;
  Result<void> resize(const std::string& address, std::int64_t size_bytes) override;
  Result<std::optional<std::int64_t>> size(const std::string& address) override;
  Result<void> keep(const std::string& address) override;
  Result<void> give_back(const std::string& address) override;
  Result<void> forget_kept(const std::string& address) override;
  Result<void> check_unused(const std::string& address) override;
  Result<void> fence(const std::string& address, const std::string& holder) override;
  Result<bool> mark_snapshot(const std::string& address, const Uuid& image_id) override;
  Result<std::optional<PoolImage>> snapshot(const std::string& address, const Uuid& image_id) override;
  Result<void> export_snapshot(const std::string& address, const Uuid& image_id, const std::string& file) override;
  Result<void> forget_snapshot(const std::string& address, const Uuid& image_id) override;
  Result<void> keep_record(const Uuid& instance, const std::string& record) override;
  Result<std::string> kept_record(const Uuid& instance) override;
  Result<DiskCapacity> capacity() override;

 private:
  // Where an address leads; kInvalid for one of another pool.
  struct Place {
    PoolRef pool;
    std::string name;
  };
  Result<Place> place(const std::string& address);
  // The disk, to be changed.
  Result<Image> disk(const std::string& address);
  // True: a complete disk is there. What an attempt that was cut off left is removed.
  Result<bool> already_there(const Place& at);
  Result<void> clone_image(const Location& from, const Place& to, std::int64_t size_bytes);
  [[nodiscard]] Patience patience() const { return {options_.destroy_retries, options_.destroy_interval}; }

  Connection& connection_;
  const RbdOptions options_;
  const std::vector<DiskSource::Host> monitors_;
};

DiskSource RbdBackend::source(const std::string& address) const {
  DiskSource source;
  source.kind = DiskSource::Kind::kRbd;
  source.path = address;
  source.hosts = monitors_;
  source.auth_user = options_.user;
  source.auth_secret = options_.secret_uuid;
  // Where ceph.conf names the monitors by DNS, QEMU has to read it itself.
  if (monitors_.empty()) source.config_file = options_.ceph_conf.empty() ? "/etc/ceph/ceph.conf" : options_.ceph_conf;
  return source;
}

Result<RbdBackend::Place> RbdBackend::place(const std::string& address) {
  CA_TRY(const Address parsed, parse_address(address));
  if (parsed.pool != options_.pool) {
    return fail(Code::kInvalid, fmt::format("the disk {} is not in the pool {} of [libvirt] images_rbd_pool", address, options_.pool));
  }
  CA_TRY(PoolRef pool, Pool::open(connection_, parsed.pool));
  return Place{std::move(pool), parsed.image};
}

Result<bool> RbdBackend::already_there(const Place& at) {
  bool complete = false;
  {
    auto image = Image::open(at.pool, at.name, Image::Mode::kRead);
    if (!image && image.error().code == Code::kNotFound) return false;
    if (!image) return tl::unexpected<Error>(std::move(image).error());
    CA_TRY(complete, is_complete(*image, at.name));
  }
  if (!complete) CA_TRY_VOID(remove_or_trash(at.pool, at.name, patience()));
  return complete;
}

Result<void> RbdBackend::create(const DiskSpec& spec) {
  CA_TRY(const Place at, place(spec.path));
  CA_TRY(const bool there, already_there(at));
  if (there) return {};
  if (spec.base_format != DiskFormat::kRaw) {
    return fail(Code::kInvalid,
                fmt::format("a disk in RBD is a copy of a raw base, but {} is {}", spec.base_path, ca::to_string(spec.base_format)),
                "set force_raw_images = true");
  }
  CA_TRY_VOID(check_disk_spec(spec));
  return create_from_file(at.pool, at.name, spec.base_path, round_to_sector(spec.size_bytes));
}

Result<bool> RbdBackend::create_from_image(const ImageMeta& image, const std::string& address, std::int64_t size_bytes) {
  if (!takes_directly(image)) return false;
  CA_TRY(const Location from, parse_location(image.location));
  CA_TRY(const std::string fsid, connection_.fsid());
  if (from.fsid != fsid) {
    return fail(Code::kConflict,
                fmt::format("image {} lies in the Ceph cluster {}, but this host's disks in {}", image.id, from.fsid, fsid),
                "delete the image and create it again with this host");
  }
  CA_TRY(const Place at, place(address));
  CA_TRY(const bool there, already_there(at));
  if (there) return true;
  CA_TRY_VOID(clone_image(from, at, round_to_sector(size_bytes)));
  return true;
}

Result<void> RbdBackend::clone_image(const Location& from, const Place& to, std::int64_t size_bytes) {
  CA_TRY(const PoolRef images, Pool::open(connection_, from.pool));
  if (auto cloned = clone(images, from.image, from.snapshot.c_str(), to.pool, to.name); !cloned) {
    const bool gone = cloned.error().code == Code::kNotFound;
    return wrap(std::move(cloned).error(), "the disk can't be made from its image",
                gone ? "the image is gone: use another, or create it again" : "");
  }
  CA_TRY(const Image image, Image::open(to.pool, to.name, Image::Mode::kWrite));
  CA_TRY_VOID(grow(image, size_bytes));
  return mark_complete(image, to.name);
}

Result<void> RbdBackend::flatten(const std::string& address) {
  CA_TRY(const Image image, disk(address));
  const int status = rbd_flatten(image.get());
  return status == -EINVAL ? Result<void>{} : check_rbd(status, "cannot flatten " + address);  // -EINVAL: it has no parent
}

// A config drive is made anew by each build, so what was there goes.
Result<void> RbdBackend::import(const std::string& file, const std::string& address) {
  CA_TRY(const Place at, place(address));
  std::int64_t bytes = 0;
  {
    CA_TRY(const OpenedFile from, open_regular(file));
    bytes = round_to_sector(from.info.st_size);
  }
  CA_TRY_VOID(remove_or_trash(at.pool, at.name, patience()));
  return create_from_file(at.pool, at.name, file, bytes);
}

Result<void> RbdBackend::remove(const std::string& address) {
  CA_TRY(const Place at, place(address));
  CA_TRY_VOID(remove_or_trash(at.pool, at.name, patience()));
  empty_trash(at.pool);
  return {};
}

Result<void> RbdBackend::remove_all(const Uuid& instance) {
  if (!is_uuid(instance)) return fail(Code::kInvalid, "an instance id is not a UUID");
  CA_TRY(const PoolRef pool, Pool::open(connection_, options_.pool));
  std::vector<rbd_image_spec_t> list(1024);
  std::size_t count = list.size();
  int status = rbd_list2(pool->io(), list.data(), &count);
  while (status == -ERANGE) {
    list.assign(count + 1024, {});
    count = list.size();
    status = rbd_list2(pool->io(), list.data(), &count);
  }
  CA_TRY_VOID(check_rbd(status, "the images in the pool " + options_.pool + " can't be listed"));
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = list[i].name;
    if (name.starts_with(instance) && is_disk_name(name)) names.push_back(name);
  }
  rbd_image_spec_list_cleanup(list.data(), count);
  for (const std::string& name : names) CA_TRY_VOID(remove_or_trash(pool, name, patience()));
  empty_trash(pool);
  return {};
}

Result<void> RbdBackend::resize(const std::string& address, std::int64_t size_bytes) {
  CA_TRY(const Place at, place(address));
  CA_TRY(const std::optional<std::int64_t> now, size(address));
  CA_TRY_VOID(check_growth(address, now, size_bytes));
  CA_TRY(const Image image, Image::open(at.pool, at.name, Image::Mode::kWrite));
  return grow(image, round_to_sector(size_bytes));
}

Result<std::optional<std::int64_t>> RbdBackend::size(const std::string& address) {
  CA_TRY(const Place at, place(address));
  auto image = Image::open(at.pool, at.name, Image::Mode::kRead);
  if (!image && image.error().code == Code::kNotFound) return std::nullopt;
  if (!image) return tl::unexpected<Error>(std::move(image).error());
  CA_TRY(const std::int64_t bytes, size_of(*image));
  return bytes;
}

Result<void> RbdBackend::check_unused(const std::string& address) {
  CA_TRY(const Place at, place(address));
  return rbd::check_unused(at.pool, at.name);
}

Result<void> RbdBackend::fence(const std::string& address, const std::string& holder) {
  CA_TRY(const Place at, place(address));
  return rbd::fence(at.pool, at.name, holder);
}

Result<Image> RbdBackend::disk(const std::string& address) {
  CA_TRY(const Place at, place(address));
  return Image::open(at.pool, at.name, Image::Mode::kWrite);
}

Result<void> RbdBackend::keep(const std::string& address) {
  CA_TRY(const Image image, disk(address));
  return take_snapshot(image, kResizeSnapshot);
}

// The snapshot stays until it is forgotten, so that this can be run again.
Result<void> RbdBackend::give_back(const std::string& address) {
  CA_TRY(const Image image, disk(address));
  CA_TRY(const bool there, has_snapshot(image, kResizeSnapshot));
  if (there) return roll_back(image, kResizeSnapshot);
  return fail(Code::kNotFound, fmt::format("the disk {} has no snapshot {}", address, kResizeSnapshot),
              "confirm the resize to go on with the disk as it is");
}

Result<void> RbdBackend::forget_kept(const std::string& address) {
  auto image = disk(address);
  if (!image && image.error().code == Code::kNotFound) return {};
  if (!image) return tl::unexpected<Error>(std::move(image).error());
  return remove_snapshot(*image, kResizeSnapshot);
}

Result<bool> RbdBackend::mark_snapshot(const std::string& address, const Uuid& image_id) {
  CA_TRY(const Image image, disk(address));
  CA_TRY_VOID(take_snapshot(image, mark_of(image_id)));
  return true;
}

// The clone is flattened, so that neither the instance nor its image is held by the new one.
Result<std::optional<PoolImage>> RbdBackend::snapshot(const std::string& address, const Uuid& image_id) {
  if (options_.store_pool.empty()) return std::nullopt;
  CA_TRY(const Place at, place(address));
  CA_TRY(const PoolRef images, Pool::open(connection_, options_.store_pool));
  CA_TRY(const std::string fsid, connection_.fsid());
  const std::string mark = mark_of(image_id);
  CA_TRY(const bool there, has_image(images, image_id));
  if (!there) {
    CA_TRY_VOID(remove_pool_image(images, image_id));
    {
      CA_TRY(const Image marked, Image::open(at.pool, at.name, Image::Mode::kWrite));
      if (const int status = rbd_snap_protect(marked.get(), mark.c_str()); status != -EBUSY)  // -EBUSY: it is protected
        CA_TRY_VOID(check_rbd(status, "cannot protect the snapshot of " + address));
    }
    CA_TRY_VOID(clone(at.pool, at.name, mark.c_str(), images, image_id));
    CA_TRY(const Image copy, Image::open(images, image_id, Image::Mode::kWrite));
    CA_TRY_VOID(check_rbd(rbd_flatten(copy.get()), "cannot flatten the copy of " + address));
    // What belongs to the instance, with its user data.
    if (const int status = rbd_metadata_remove(copy.get(), kRecordKey); status != -ENOENT)
      CA_TRY_VOID(check_rbd(status, "cannot remove the instance's record from the copy"));
  }
  CA_TRY_VOID(protect_image(images, image_id));
  CA_TRY(const Image image, Image::open(images, image_id, Image::Mode::kRead));
  CA_TRY(const std::int64_t bytes, size_of(image));
  return PoolImage{to_text(Location{fsid, options_.store_pool, image_id, kImageSnapshot}), bytes};
}

Result<void> RbdBackend::export_snapshot(const std::string& address, const Uuid& image_id, const std::string& file) {
  CA_TRY(const Place at, place(address));
  return rbd::export_snapshot(at.pool, at.name, mark_of(image_id), file);
}

Result<void> RbdBackend::forget_snapshot(const std::string& address, const Uuid& image_id) {
  auto image = disk(address);
  if (!image && image.error().code == Code::kNotFound) return {};
  if (!image) return tl::unexpected<Error>(std::move(image).error());
  return remove_snapshot(*image, mark_of(image_id));
}

Result<void> RbdBackend::keep_record(const Uuid& instance, const std::string& record) {
  CA_TRY(const Place at, place(address(instance, "disk")));
  CA_TRY(const Image image, Image::open(at.pool, at.name, Image::Mode::kWrite));
  return set_metadata(image, kRecordKey, record);
}

Result<std::string> RbdBackend::kept_record(const Uuid& instance) {
  CA_TRY(const Place at, place(address(instance, "disk")));
  CA_TRY(const Image image, Image::open(at.pool, at.name, Image::Mode::kRead));
  return metadata(image, kRecordKey);
}

Result<DiskCapacity> RbdBackend::capacity() {
  CA_TRY(const std::string text, connection_.command(R"({"prefix":"df","format":"json"})"));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_object() && json.contains("pools") && json["pools"].is_array()) {
    for (const auto& pool : json["pools"]) {
      if (!pool.is_object() || pool.value("name", "") != options_.pool || !pool.contains("stats") || !pool["stats"].is_object()) continue;
      const auto& stats = pool["stats"];
      if (!stats.contains("max_avail") || !stats["max_avail"].is_number() || !stats.contains("stored") || !stats["stored"].is_number())
        break;
      const auto free = stats["max_avail"].get<std::int64_t>();
      return DiskCapacity{free + stats["stored"].get<std::int64_t>(), free};
    }
  }
  return fail(Code::kUnavailable, "Ceph does not tell the size of the pool " + options_.pool,
              "see that the pool exists and a manager runs (ceph df)");
}

}  // namespace

std::unique_ptr<DiskBackend> make_rbd_backend(Connection& connection, const RbdOptions& options) {
  return std::make_unique<RbdBackend>(connection, options);
}

}  // namespace ca::rbd
