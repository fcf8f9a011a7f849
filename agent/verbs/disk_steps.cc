#include <fmt/format.h>

#include <future>

#include "agent/metadata/instance_metadata.h"
#include "agent/verbs/steps.h"
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

// nova's disk.info: path to format, so that a disk's format is never probed.
Result<void> write_disk_info(Services& s, const Uuid& uuid) {
  const Json info{{s.paths.disk(uuid), to_string(s.disks.format())}};
  return write_text_file(s.paths.disk_info(uuid), info.dump(), 0644);
}

Result<void> write_record_copy(Services& s, const Instance& instance) {
  return write_text_file(s.paths.record_copy(instance.uuid), to_json(instance).dump(2, ' ', false, Json::error_handler_t::replace), 0600);
}

}  // namespace

std::int64_t root_bytes(const Instance& instance) {
  if (instance.flavor.root_gib > 0) return instance.flavor.root_gib * kGib;
  return instance.image.virtual_size_bytes > 0 ? instance.image.virtual_size_bytes : instance.image.size_bytes;
}

Result<void> fetch_base(Services& s, StepContext& ctx, const ImageMeta& image) {
  auto base = s.images.fetch(image);
  if (!base) return wrap(std::move(base).error(), fmt::format("image {} can't be fetched", image.id));
  ctx.scratch()["base"] = {{"path", base->path}, {"format", to_string(base->format)}, {"bytes", base->virtual_size_bytes}};
  return {};
}

Step fetch_image_step(Services& s) {
  return {.name = "fetch_image",
          .limit = std::chrono::seconds(s.config.operation_timeout),
          .run = [&s](StepContext& ctx) { return fetch_base(s, ctx, ctx.instance().image); },
          .undo = {},
          .task = TaskState::kBlockDeviceMapping};
}

Step create_disk_step(Services& s) {
  Step step{
      .name = "create_disk", .limit = std::chrono::seconds(s.config.operation_timeout), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    const Json base = ctx.scratch().value("base", Json::object());
    CA_TRY_VOID(make_directories(s.paths.instance_dir(instance.uuid)));
    DiskSpec spec;
    spec.path = s.disks.address(instance.uuid, "disk");
    spec.base_path = base.value("path", "");
    spec.base_format = disk_format_from(base.value("format", ""));
    spec.base_virtual_bytes = base.value("bytes", std::int64_t{0});
    spec.size_bytes = instance.flavor.root_gib > 0 ? root_bytes(instance) : spec.base_virtual_bytes;
    const auto make_disk = [&]() -> Result<void> {
      if (auto made = s.disks.create(spec); !made) {
        return wrap(std::move(made).error(), fmt::format("cannot create the root disk of {}", instance.uuid));
      }
      return {};
    };
    return side_by_side(make_disk, [&] { return write_disk_info(s, instance.uuid); });
  };
  step.undo = [&s](StepContext& ctx) { return remove_tree(s.paths.instance_dir(ctx.instance().uuid)); };
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
    return side_by_side([&] { return write_config_drive(s.paths.config_drive(instance.uuid), files); },
                        [&] { return write_record_copy(s, instance); });
  };
  step.undo = [&s](StepContext& ctx) { return remove_file(s.paths.config_drive(ctx.instance().uuid)); };
  return step;
}

Step remove_directory_step(Services& s) {
  return {.name = "remove_directory",
          .limit = std::chrono::seconds(600),
          .run = [&s](StepContext& ctx) { return remove_tree(s.paths.instance_dir(ctx.instance().uuid)); },
          .undo = {},
          .task = TaskState::kNone};
}

}  // namespace ca
