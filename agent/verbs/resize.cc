// Resize on the same host, as nova does it: the disks of before are kept (in <uuid>_resize) until the resize is confirmed, and the
// larger of both flavors is reserved meanwhile. Until then a revert gives back the old flavor and the old disks.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "agent/verbs/life.h"
#include "agent/verbs/local_disks.h"
#include "agent/verbs/verb_table.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

constexpr const char* kResizedUs = "resized_us";  // in system_metadata

Claim larger(const Claim& a, const Claim& b) {
  return {std::max(a.vcpus, b.vcpus), std::max(a.memory_mib, b.memory_mib), std::max(a.disk_gib, b.disk_gib)};
}

Claim claim_with(Instance instance, const Flavor& flavor) {
  instance.flavor = flavor;
  return claim_of(instance);
}

struct DataDisk {
  std::string name;
  DiskBackend* backend;  // by which it was made, whatever images_type says now
  std::string address;
};

// The disks that hold the guest's data and lie with the instance.
Result<std::vector<DataDisk>> data_disks(Services& s, const Instance& instance) {
  std::vector<DataDisk> disks;
  if (instance.local_disks.empty() && boots_from_volume(instance)) return disks;
  for (const LocalDisk& disk : recorded_disks(s, instance)) {
    if (disk.name == "disk.config" || disk.name == "disk.rescue") continue;
    CA_TRY(DiskBackend* const backend, backend_of(s, disk));
    disks.push_back({disk.name, backend, backend->address(instance.uuid, disk.name)});
  }
  return disks;
}

Result<void> expect_off(Services& s, const Instance& instance) {
  CA_TRY(const PowerState state, seen_state(s, instance.uuid));
  if (is_off(state)) return {};
  return fail(Code::kConflict, fmt::format("{} is {}: its disks can't be changed", instance.domain(), to_string(state)),
              "power it off first");
}

Step claim_both_step(Services& s) {
  Step step{.name = "claim", .limit = std::chrono::seconds(10), .run = {}, .undo = {}, .task = TaskState::kNone};
  const auto change = [&s](StepContext& ctx, const Claim& claim) -> Result<void> {
    CA_TRY_VOID(s.claims.change(ctx.instance().uuid, claim));
    ctx.on_commit([claim](Tx&, Instance& record) -> Result<void> {
      record.claim = claim;
      return {};
    });
    return {};
  };
  step.run = [&s, change](StepContext& ctx) -> Result<void> {
    if (s.claims.usage().host.vcpus.total == 0)
      return fail(Code::kUnavailable, "the host's capacity is not known yet: libvirt was not asked so far");
    CA_TRY(const Flavor flavor, flavor_from_json(ctx.op().args.at("flavor")));
    return change(ctx, larger(claim_of(ctx.instance()), claim_with(ctx.instance(), flavor)));
  };
  step.undo = [change](StepContext& ctx) { return change(ctx, claim_of(ctx.instance())); };
  return step;
}

// Plugs, defines and starts with the flavor that is recorded then.
StepFunction start_again(Services& s) {
  return [plug = plug_ports_step(s).run, define = define_step(s, false).run, start = start_step(s, false).run](StepContext& ctx) {
    return plug(ctx).and_then([&] { return define(ctx); }).and_then([&] { return start(ctx); });
  };
}

Step shut_down_for_resize_step(Services& s) {
  Step step = shutdown_step(s);
  step.task = TaskState::kResizeMigrating;
  step.undo = [again = start_again(s)](StepContext& ctx) -> Result<void> {
    const bool ran = ctx.instance().old_vm_state == VmState::kActive;
    return ran && !ctx.cancelled() ? again(ctx) : Result<void>{};
  };
  return step;
}

Step keep_disks_step(Services& s) {
  Step step{.name = "keep_disks",
            .limit = std::chrono::seconds(s.config.operation_timeout),
            .run = {},
            .undo = {},
            .task = TaskState::kResizeMigrating};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY_VOID(expect_off(s, ctx.instance()));
    CA_TRY(const auto disks, data_disks(s, ctx.instance()));
    for (const auto& [name, backend, address] : disks) {
      if (auto kept = backend->keep(address); !kept) {
        return wrap(std::move(kept).error(), fmt::format("{} of {} can't be kept for a revert", name, ctx.instance().uuid));
      }
    }
    return {};
  };
  step.undo = forget_kept_step(s).run;
  return step;
}

// The flavor, and the sizes that the disks really have.
RecordChange use_flavor(const Flavor& flavor, std::map<std::string, std::int64_t> sizes) {
  return [flavor, sizes = std::move(sizes)](Tx&, Instance& record) -> Result<void> {
    record.flavor = flavor;
    for (LocalDisk& disk : record.local_disks) {
      if (const auto size = sizes.find(disk.name); size != sizes.end()) disk.size_bytes = size->second;
    }
    return {};
  };
}

Result<std::map<std::string, std::int64_t>> disk_sizes(Services& s, const Instance& instance) {
  std::map<std::string, std::int64_t> sizes;
  CA_TRY(const auto disks, data_disks(s, instance));
  for (const DataDisk& disk : disks) {
    CA_TRY(const std::optional<std::int64_t> size, disk.backend->size(disk.address));
    if (size) sizes[disk.name] = *size;
  }
  return sizes;
}

Result<void> give_back_disks(Services& s, const Instance& instance) {
  CA_TRY_VOID(expect_off(s, instance));
  CA_TRY(const auto disks, data_disks(s, instance));
  for (const DataDisk& disk : disks) CA_TRY_VOID(disk.backend->give_back(disk.address));
  return {};
}

Step resize_disks_step(Services& s) {
  Step step{.name = "resize_disks", .limit = std::chrono::seconds(600), .run = {}, .undo = {}, .task = TaskState::kResizeFinish};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    CA_TRY(const Flavor flavor, flavor_from_json(ctx.op().args.at("flavor")));
    Instance wanted = instance;
    wanted.flavor = flavor;
    CA_TRY(const auto disks, data_disks(s, instance));
    for (const DataDisk& disk : disks) {
      if (disk.name != "disk" || flavor.root_gib == 0) continue;
      CA_TRY(const std::optional<std::int64_t> size, disk.backend->size(disk.address));
      if (size && *size < root_bytes(wanted)) CA_TRY_VOID(disk.backend->resize(disk.address, root_bytes(wanted)));
    }
    CA_TRY(auto sizes, disk_sizes(s, instance));
    ctx.on_commit(use_flavor(flavor, std::move(sizes)));
    // Run again after a crash, the flavor of before is the one recorded first.
    ctx.on_commit([old = instance.old_flavor.value_or(instance.flavor)](Tx&, Instance& record) -> Result<void> {
      record.old_flavor = old;
      return {};
    });
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    CA_TRY_VOID(give_back_disks(s, instance));
    CA_TRY(auto sizes, disk_sizes(s, instance));
    ctx.on_commit(use_flavor(instance.old_flavor.value_or(instance.flavor), std::move(sizes)));
    ctx.on_commit([](Tx&, Instance& record) -> Result<void> {
      record.old_flavor.reset();
      return {};
    });
    return {};
  };
  return step;
}

// instance.json follows: whoever takes over from this host reads the flavor there.
Step define_resized_step(Services& s) {
  Step step = define_step(s, false);
  step.run = [&s, define = std::move(step.run)](StepContext& ctx) -> Result<void> {
    CA_TRY_VOID(write_record_copy(s, ctx.instance()));
    return define(ctx);
  };
  return step;
}

// An instance that was stopped stays so.
Step start_as_before_step(Services& s, bool undoable) {
  Step step = start_step(s, undoable);
  step.run = [start = std::move(step.run)](StepContext& ctx) -> Result<void> {
    return ctx.instance().old_vm_state == VmState::kActive ? start(ctx) : Result<void>{};
  };
  return step;
}

Step plug_again_step(Services& s) {
  Step step = plug_ports_step(s);
  step.undo = {};
  return step;
}

Step power_off_for_revert_step(Services& s) {
  Step step = power_off_step(s);
  step.task = TaskState::kResizeReverting;
  step.undo = [again = start_again(s)](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    const bool still_resized = instance.old_flavor.has_value();
    return still_resized && instance.power_state == PowerState::kRunning && !ctx.cancelled() ? again(ctx) : Result<void>{};
  };
  return step;
}

// From here on the revert can't be taken back: what the guest wrote since the resize goes.
Step give_back_disks_step(Services& s) {
  Step step{.name = "give_back_disks", .limit = std::chrono::seconds(600), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Instance& instance = ctx.instance();
    CA_TRY_VOID(give_back_disks(s, instance));
    CA_TRY(auto sizes, disk_sizes(s, instance));
    ctx.on_commit(use_flavor(instance.old_flavor.value_or(instance.flavor), std::move(sizes)));
    ctx.on_commit([&s](Tx& tx, Instance& record) -> Result<void> {
      settle_confirmed(s, tx, record);
      return {};
    });
    return {};
  };
  return step;
}

}  // namespace

Result<void> check_resize(const Instance& instance, const Flavor& flavor) {
  const Flavor& now = instance.flavor;
  if (flavor.id == now.id) return fail(Code::kInvalid, "When resizing, instances must change flavor!", "choose another flavor");
  if (flavor.memory_mib < instance.image.min_ram_mib) {
    return fail(Code::kInvalid,
                fmt::format("Flavor's memory is too small for requested image: {} MiB, the image asks for {} MiB", flavor.memory_mib,
                            instance.image.min_ram_mib),
                "choose a larger flavor");
  }
  Instance wanted = instance;
  wanted.flavor = flavor;
  if (!boots_from_volume(instance)) {
    if (flavor.root_gib == 0 && now.root_gib != 0) {
      return fail(Code::kInvalid, "Resize to zero disk flavor is not allowed.", "choose a flavor with a disk as large as now");
    }
    if (root_bytes(wanted) < root_bytes(instance)) {
      return fail(Code::kInvalid,
                  fmt::format("Unable to resize disk down: the root disk has {} bytes, flavor {} gives {} bytes", root_bytes(instance),
                              flavor.name, root_bytes(wanted)),
                  "choose a flavor with a disk as large as now");
    }
  }
  if (flavor.ephemeral_gib < now.ephemeral_gib) {
    return fail(Code::kInvalid,
                fmt::format("Unable to resize disk down: ephemeral disks of {} GiB, flavor {} gives {} GiB", now.ephemeral_gib, flavor.name,
                            flavor.ephemeral_gib),
                "choose a flavor with as much ephemeral disk as now");
  }
  const bool has_more_disks = flavor.ephemeral_gib != now.ephemeral_gib || flavor.swap_mib != now.swap_mib;
  if (has_more_disks && !instance.local_disks.empty()) {
    return fail(Code::kInvalid, fmt::format("flavor {} has other ephemeral or swap disks than {}", flavor.name, now.name),
                "choose a flavor with the same ephemeral and swap disks; resizing those is not supported");
  }
  return {};
}

Step forget_kept_step(Services& s) {
  Step step{.name = "forget_disks", .limit = std::chrono::seconds(600), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const auto disks, data_disks(s, ctx.instance()));
    for (const DataDisk& disk : disks) CA_TRY_VOID(disk.backend->forget_kept(disk.address));
    return {};
  };
  return step;
}

void settle_confirmed(Services& s, Tx& tx, Instance& record) {
  if (!record.old_flavor) return;
  record.old_flavor.reset();
  record.system_metadata.erase(kResizedUs);
  record.claim = claim_of(record);
  // It shrinks, which always fits.
  tx.after_commit([&s, uuid = record.uuid, claim = *record.claim] { [[maybe_unused]] const auto changed = s.claims.change(uuid, claim); });
}

std::int64_t resized_us(const Instance& instance) {
  const auto found = instance.system_metadata.find(kResizedUs);
  std::int64_t at = 0;
  if (instance.vm_state != VmState::kResized || found == instance.system_metadata.end()) return 0;
  std::from_chars(found->second.data(), found->second.data() + found->second.size(), at);
  return at;
}

Verb resize_instance(Services& s) {
  Verb verb = plain_verb(s, "resize_instance", "resize", Order::kResize, TaskState::kResizePrep);
  verb.steps = {claim_both_step(s),   shut_down_for_resize_step(s), power_off_step(s),      keep_disks_step(s),
                resize_disks_step(s), plug_again_step(s),           define_resized_step(s), start_as_before_step(s, true)};
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kResize, message, tx));
    CA_TRY(const Flavor flavor, flavor_from_json(message.args.at("flavor")));
    CA_TRY_VOID(check_resize(record, flavor));
    record.old_vm_state = record.vm_state;
    record.task_state = TaskState::kResizePrep;
    return record;
  };
  verb.on_success = [](Tx& tx, Instance& record) -> Result<void> {
    record.vm_state = VmState::kResized;
    record.task_state = TaskState::kNone;
    record.power_state = record.old_vm_state == VmState::kActive ? PowerState::kRunning : PowerState::kShutdown;
    record.launched_us = tx.now_us();
    record.system_metadata[kResizedUs] = std::to_string(tx.now_us());
    record.fault.reset();
    return {};
  };
  return verb;
}

// The state follows what runs: somebody may have started or stopped it to look at it.
Verb confirm_resize(Services& s) {
  Verb verb = plain_verb(s, "confirm_resize", "confirmResize", Order::kConfirmResize, TaskState::kResizeConfirming);
  verb.steps = {forget_kept_step(s)};
  verb.on_success = [&s](Tx& tx, Instance& record) -> Result<void> {
    settle_confirmed(s, tx, record);
    record.vm_state = record.power_state == PowerState::kShutdown ? VmState::kStopped : VmState::kActive;
    record.task_state = TaskState::kNone;
    return {};
  };
  return verb;
}

Verb revert_resize(Services& s) {
  Verb verb = plain_verb(s, "revert_resize", "revertResize", Order::kRevertResize, TaskState::kResizeReverting);
  verb.steps = {power_off_for_revert_step(s), give_back_disks_step(s), forget_kept_step(s),
                plug_again_step(s),           define_resized_step(s),  start_as_before_step(s, false)};
  const auto settle = [](Instance& record) {
    record.vm_state = record.old_vm_state;
    record.task_state = TaskState::kNone;
    record.power_state = record.old_vm_state == VmState::kActive ? PowerState::kRunning : PowerState::kShutdown;
  };
  verb.on_success = [settle](Tx& tx, Instance& record) -> Result<void> {
    settle(record);
    record.launched_us = tx.now_us();
    record.fault.reset();
    return {};
  };
  verb.on_failure = [&s, settle](Tx& tx, Instance& record, const Fault& fault) -> Result<void> {
    // The old disks are back: it is what it was, and only does not run perhaps, which the reconciler sees.
    if (!record.old_flavor) settle(record);
    return settle_failed(s, tx, record, fault);
  };
  return verb;
}

}  // namespace ca
