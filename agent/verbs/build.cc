#include <fmt/format.h>

#include <cmath>

#include "agent/verbs/life.h"
#include "agent/verbs/verb_table.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

constexpr std::int64_t kGib = std::int64_t{1} << 30;

Result<Instance> accept_build(const Config& config, const Message& message, Tx& tx) {
  CA_TRY(Instance wanted, instance_from_json(message.args.at("instance")));
  if (auto existing = tx.get<Instance>(wanted.uuid); existing) {
    // The API writes the record together with the message; anything beyond that is a second create of the same id.
    CA_TRY(const bool ordered_before, tx.has_operation("build_and_run_instance", wanted.uuid));
    if (ordered_before || existing->vm_state != VmState::kBuilding) {
      return fail(Code::kConflict, fmt::format("Instance {} exists already", wanted.uuid), "use another id, or delete the instance first");
    }
    wanted.number = existing->number;
    wanted.created_us = existing->created_us;
  }
  if (wanted.number == 0) {
    CA_TRY(wanted.number, tx.next_number("instance_number"));
  }
  if (wanted.created_us == 0) wanted.created_us = tx.now_us();
  CA_TRY_VOID(check_image_fits(wanted.flavor, wanted.image, !boots_from_volume(wanted)));
  wanted.host = config.host;
  wanted.vm_state = VmState::kBuilding;
  wanted.task_state = TaskState::kScheduling;
  wanted.power_state = PowerState::kNoState;
  wanted.config_drive = wanted.config_drive || config.force_config_drive;
  wanted.port_ids.clear();
  wanted.own_port_ids.clear();
  wanted.local_disks.clear();
  wanted.claim.reset();
  wanted.fault.reset();
  CA_TRY_VOID(record_volumes(tx, config, wanted));
  return wanted;
}

// Spawning begins when the disk is there.
Step with_task(Step step, TaskState task) {
  step.task = task;
  return step;
}

}  // namespace

Step claim_step(Services& s) {
  Step step{.name = "claim", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Claim claim = claim_of(ctx.instance());
    if (s.claims.usage().host.vcpus.total == 0)
      return fail(Code::kUnavailable, "the host's capacity is not known yet: libvirt or the disks' storage did not answer so far");
    CA_TRY_VOID(s.claims.try_claim(ctx.instance().uuid, claim));
    ctx.on_commit([claim](Tx&, Instance& record) -> Result<void> {
      record.claim = claim;
      return {};
    });
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    const Uuid uuid = ctx.instance().uuid;
    ctx.on_commit([&s, uuid](Tx& tx, Instance& record) -> Result<void> {
      record.claim.reset();
      tx.after_commit([&s, uuid] { s.claims.release(uuid); });
      return {};
    });
    return {};
  };
  return step;
}

Result<void> check_image_fits(const Flavor& flavor, const ImageMeta& image, bool local_root) {
  if (flavor.memory_mib < image.min_ram_mib) {
    return fail(Code::kInvalid,
                fmt::format("Flavor's memory is too small for requested image: {} MiB, the image asks for {} MiB", flavor.memory_mib,
                            image.min_ram_mib),
                "use a larger flavor");
  }
  if (flavor.root_gib == 0 || !local_root) return {};
  if (flavor.root_gib < image.min_disk_gib) {
    return fail(Code::kInvalid,
                fmt::format("Flavor's disk is smaller than the minimum size specified in image metadata: {} GiB, "
                            "the image asks for {} GiB",
                            flavor.root_gib, image.min_disk_gib),
                "use a larger flavor");
  }
  const std::int64_t needed = std::max(image.virtual_size_bytes, image.disk_format == DiskFormat::kRaw ? image.size_bytes : 0);
  if (flavor.root_gib * kGib < needed) {
    return fail(Code::kInvalid,
                fmt::format("Flavor's disk is too small for requested image: flavor disk is {} bytes, image is {} bytes",
                            flavor.root_gib * kGib, needed),
                "use a larger flavor");
  }
  return {};
}

Verb build_and_run_instance(Services& s) {
  Verb verb;
  verb.method = "build_and_run_instance";
  verb.action = "create";
  verb.order = Order::kBuild;
  verb.at_once = static_cast<std::size_t>(s.config.max_concurrent_builds);
  verb.steps = {claim_step(s),
                allocate_ports_step(s),
                fetch_image_step(s),
                make_volumes_step(s),
                create_disk_step(s),
                create_config_drive_step(s),
                with_task(plug_ports_step(s), TaskState::kSpawning),
                define_step(s, true),
                start_step(s, true)};
  verb.accept = [&s](const Message& message, Tx& tx) { return accept_build(s.config, message, tx); };
  verb.on_success = [](Tx& tx, Instance& record) -> Result<void> {
    record.vm_state = VmState::kActive;
    record.task_state = TaskState::kNone;
    record.power_state = PowerState::kRunning;
    record.launched_us = tx.now_us();
    return {};
  };
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) -> Result<void> {
    CA_TRY_VOID(give_volumes_back(s, tx, record));
    record.vm_state = VmState::kError;
    record.task_state = TaskState::kNone;
    record.power_state = PowerState::kNoState;
    record.fault = fault;
    return {};
  };
  return verb;
}

}  // namespace ca
