#include <fmt/format.h>

#include <future>

#include "agent/metadata/instance_metadata.h"
#include "agent/verbs/local_disks.h"
#include "agent/verbs/steps.h"
#include "agent/verbs/volume_records.h"
#include "drivers/config_drive.h"
#include "drivers/files/durable_file.h"
#include "drivers/files/instance_dir.h"

namespace ca {
namespace {

constexpr std::int64_t kGib = std::int64_t{1} << 30;

// Each writes and fsyncs a file of one directory: together they wait for one commit of the file system's journal instead of two.
template <typename First, typename Second>
Result<void> side_by_side(const First& first, const Second& second) {
  // Either policy: where no thread can be had, the second runs after the first.
  auto other = std::async(std::launch::async | std::launch::deferred, second);
  const Result<void> done = first();
  const Result<void> other_done = other.get();
  return done ? other_done : done;
}

// Everything an instance has on disk: its directory, and what its back end keeps elsewhere.
Result<void> remove_disks(Services& s, const Instance& instance) {
  CA_TRY(DiskBackend* const backend, root_backend(s, instance));
  CA_TRY_VOID(backend->remove_all(instance.uuid));
  return remove_tree(s.paths.instance_dir(instance.uuid));
}

// Written as a file, which back ends that keep disks elsewhere then take.
Result<void> make_config_drive(Services& s, const Instance& instance, const ConfigDriveFiles& files) {
  CA_TRY(DiskBackend* const backend, root_backend(s, instance));
  const std::string file = s.paths.config_drive(instance.uuid);
  const std::string address = backend->address(instance.uuid, "disk.config");
  CA_TRY_VOID(write_config_drive(file, files));
  if (address == file) return {};
  CA_TRY_VOID(backend->import(file, address));
  return remove_file(file);
}

// A base stays as long as the disk is made of it; the disk itself, or the record, keeps it afterwards.
Result<void> create_disk(Services& s, const Instance& instance, LocalDisk& disk) {
  const bool root = disk.name == "disk";
  const std::string address = s.disks.address(instance.uuid, disk.name);
  if (root && s.disks.takes_directly(instance.image)) {
    CA_TRY_VOID(s.disks.create_from_image(instance.image, address, disk.size_bytes));
    return {};
  }
  CA_TRY(const HeldBase held, root ? s.images.hold(instance.image) : s.images.hold_blank({disk.size_bytes, disk.guest_format}));
  if (root && instance.flavor.root_gib == 0) disk.size_bytes = held.base.virtual_size_bytes;
  return s.disks.create({.path = address,
                         .base_path = held.base.path,
                         .base_format = held.base.format,
                         .base_virtual_bytes = held.base.virtual_size_bytes,
                         .size_bytes = disk.size_bytes,
                         .preallocate = s.config.preallocate_images == "space"});
}

Result<void> create_disks(Services& s, const Instance& instance, std::vector<LocalDisk>& disks) {
  for (LocalDisk& disk : disks) {
    if (auto made = create_disk(s, instance, disk); !made) {
      return wrap(std::move(made).error(),
                  fmt::format("cannot create {} of {}", disk.name == "disk" ? "the root disk" : disk.name, instance.uuid));
    }
  }
  return {};
}

}  // namespace

std::int64_t root_bytes(const Instance& instance) {
  if (instance.flavor.root_gib > 0) return instance.flavor.root_gib * kGib;
  return instance.image.virtual_size_bytes > 0 ? instance.image.virtual_size_bytes : instance.image.size_bytes;
}

Result<void> fetch_base(Services& s, const ImageMeta& image) {
  if (s.disks.takes_directly(image)) return {};
  auto base = s.images.fetch(image);
  if (base) return {};
  return wrap(std::move(base).error(), fmt::format("image {} can't be fetched", image.id));
}

Step fetch_image_step(Services& s) {
  return {.name = "fetch_image",
          .limit = std::chrono::seconds(s.config.operation_timeout),
          .run = [&s](StepContext& ctx) -> Result<void> {
            if (boots_from_volume(ctx.instance())) return {};
            return fetch_base(s, ctx.instance().image);
          },
          .undo = {},
          .task = TaskState::kBlockDeviceMapping};
}

Result<void> make_disks(Services& s, StepContext& ctx, const Instance& instance) {
  CA_TRY(std::vector<LocalDisk> disks, planned_disks(s, instance));
  CA_TRY_VOID(make_directories(s.paths.instance_dir(instance.uuid)));
  CA_TRY_VOID(side_by_side([&] { return create_disks(s, instance, disks); },
                           [&s, &instance, as_planned = disks] { return write_disk_info(s, instance.uuid, as_planned); }));
  ctx.on_commit([disks](Tx&, Instance& record) -> Result<void> {
    record.local_disks = disks;
    if (!boots_from_volume(record)) record.root_device_name = disks.front().device_name;
    return {};
  });
  return {};
}

Step create_disk_step(Services& s) {
  Step step{
      .name = "create_disk", .limit = std::chrono::seconds(s.config.operation_timeout), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) { return make_disks(s, ctx, ctx.instance()); };
  step.undo = [&s](StepContext& ctx) { return remove_disks(s, ctx.instance()); };
  return step;
}

Result<ConfigDriveFiles> config_drive_files(Services& s, const Instance& instance, const std::string& admin_pass) {
  CA_TRY(const auto nics, nic_records(s, instance));
  MetadataInput input{.instance = instance,
                      .ports = {},
                      .networks = {},
                      .subnets = {},
                      .dhcp_domain = s.config.dhcp_domain,
                      .random_seed = random_bytes(512),
                      .admin_pass = admin_pass};
  for (const NicRecords& nic : nics) {
    input.ports.push_back(nic.port);
    input.networks.push_back(nic.network);
    input.subnets.insert(input.subnets.end(), nic.subnets.begin(), nic.subnets.end());
  }
  return instance_metadata(input);
}

Step create_config_drive_step(Services& s) {
  Step step{.name = "create_config_drive", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    if (!instance.config_drive) return write_record_copy(s, instance);
    CA_TRY(const ConfigDriveFiles files, config_drive_files(s, instance, ctx.op().args.value("new_pass", "")));
    return side_by_side([&] { return make_config_drive(s, instance, files); }, [&] { return write_record_copy(s, instance); });
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(DiskBackend* const backend, root_backend(s, ctx.instance()));
    CA_TRY_VOID(backend->remove(backend->address(ctx.instance().uuid, "disk.config")));
    return remove_file(s.paths.config_drive(ctx.instance().uuid));
  };
  return step;
}

Step remove_directory_step(Services& s) {
  return {.name = "remove_directory",
          .limit = std::chrono::seconds(600),
          .run = [&s](StepContext& ctx) -> Result<void> {
            CA_TRY_VOID(remove_tree(s.paths.resize_dir(ctx.instance().uuid)));
            return remove_disks(s, ctx.instance());
          },
          .undo = {},
          .task = TaskState::kNone};
}

}  // namespace ca
