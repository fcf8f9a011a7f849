// attach_volume, detach_volume, extend_volume: volumes of an instance that is there.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/core/ids.h"
#include "agent/domainxml/disk_device.h"
#include "agent/verbs/steps.h"
#include "agent/verbs/verb_table.h"
#include "agent/verbs/volume_devices.h"
#include "agent/verbs/volume_disks.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

Uuid instance_of(const Message& message) { return message.args.at("instance").at("uuid").get<std::string>(); }
Uuid volume_of(const Json& args) { return args.at("volume_id").get<std::string>(); }

// The operation's volume, as it is recorded now.
Result<Volume> volume_now(Services& s, const Uuid& id) {
  const auto volume = s.store.get<Volume>(id);
  if (!volume) return fail(Code::kNotFound, fmt::format("Volume {} could not be found.", id));
  return *volume;
}

Result<void> no_more_task(Tx&, Instance&) { return {}; }

// A volume's failure is the volume's and the action's; the server is as it was.
Result<void> leave_server(Tx&, Instance&, const Fault&) { return {}; }

// --- attach

// Keys and storage first; undone last, and only then is the volume free again.
Step connect_step(Services& s) {
  Step step{.name = "connect_volume", .limit = std::chrono::seconds(120), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const BlockDevice device, block_device_from_json(ctx.op().args.at("bdm")));
    CA_TRY(const Volume volume, volume_now(s, device.volume_id));
    CA_TRY_VOID(connect_volume(s, volume));
    ctx.on_commit([id = volume.id](Tx& tx, Instance&) -> Result<void> {
      CA_TRY(Volume now, get_volume(tx, id));
      now.status = "attaching";
      return put_volume(tx, now);
    });
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    if (ctx.scratch().value("kept", false)) return {};
    CA_TRY(const BlockDevice device, block_device_from_json(ctx.op().args.at("bdm")));
    const auto volume = s.store.get<Volume>(device.volume_id);
    if (volume && volume->attachments.size() <= 1) CA_TRY_VOID(disconnect_volume(s, *volume));
    ctx.on_commit([id = device.volume_id](Tx& tx, Instance& record) -> Result<void> {
      CA_TRY_VOID(release_volume(tx, id, record.uuid, false));
      return {};
    });
    return {};
  };
  return step;
}

Step attach_step(Services& s) {
  Step step{.name = "attach_device", .limit = detach_limit(s.config), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const BlockDevice device, block_device_from_json(ctx.op().args.at("bdm")));
    CA_TRY(const DiskDevice disk, volume_disk(s, ctx.instance(), device));
    if (auto done = attach_disk(s, ctx, disk); !done) {
      return wrap(std::move(done).error(), fmt::format("volume {} can't be attached to {}", device.volume_id, ctx.instance().uuid));
    }
    ctx.on_commit([device](Tx& tx, Instance& record) { return record_attached(tx, record, device); });
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const BlockDevice device, block_device_from_json(ctx.op().args.at("bdm")));
    CA_TRY(const DiskDevice disk, volume_disk(s, ctx.instance(), device));
    auto gone = detach_disk(s, ctx, disk);
    if (gone) {
      ctx.on_commit([id = device.volume_id](Tx&, Instance& record) -> Result<void> {
        std::erase_if(record.block_devices, [&](const BlockDevice& d) { return is_volume(d) && d.volume_id == id; });
        return {};
      });
      return {};
    }
    if (gone.error().code == Code::kUnavailable) return gone;
    // The guest has it and holds on: then it is attached, whatever the order came to.
    spdlog::warn("volume {} stays attached to {}: {}", device.volume_id, ctx.instance().uuid, gone.error().chain());
    CA_TRY_VOID(attach_disk(s, ctx, disk));
    ctx.scratch()["kept"] = true;
    ctx.on_commit([device](Tx& tx, Instance& record) { return record_attached(tx, record, device); });
    return {};
  };
  return step;
}

// Tags are told by the config drive. A guest that runs sees the new one at its next start.
Step tell_tag_step(Services& s) {
  Step step = create_config_drive_step(s);
  step.name = "tell_tag";
  step.undo = {};
  step.run = [run = step.run](StepContext& ctx) -> Result<void> {
    return ctx.op().args.at("bdm").value("tag", "").empty() ? Result<void>{} : run(ctx);
  };
  return step;
}

// --- detach

Step detach_step(Services& s) {
  Step step{.name = "detach_device", .limit = detach_limit(s.config), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Uuid id = volume_of(ctx.op().args);
    const BlockDevice* device = volume_device(ctx.instance(), id);
    if (device == nullptr) return {};  // the record never had it; the next step gives the volume back
    CA_TRY(const DiskDevice disk, volume_disk(s, ctx.instance(), *device));
    if (auto done = detach_disk(s, ctx, disk); !done) {
      return wrap(std::move(done).error(), fmt::format("volume {} can't be detached from {}", id, ctx.instance().uuid));
    }
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    const Uuid id = volume_of(ctx.op().args);
    const std::string reason = ctx.op().error ? ctx.op().error->message : std::string();
    ctx.on_commit([id, reason](Tx& tx, Instance&) { return keep_attached(tx, id, reason); });
    const BlockDevice* device = volume_device(ctx.instance(), id);
    if (device == nullptr) return {};
    CA_TRY(const DiskDevice disk, volume_disk(s, ctx.instance(), *device));
    auto back = attach_disk(s, ctx, disk);
    if (back || back.error().code == Code::kUnavailable) return back;
    // The record has it: the guest gets it back at its next start.
    spdlog::error("volume {} was taken from {} and can't be given back before its next start: {}; {}", id, ctx.instance().uuid,
                  back.error().chain(), back.error().action());
    return {};
  };
  return step;
}

Step disconnect_step(Services& s) {
  Step step{.name = "disconnect_volume", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Uuid id = volume_of(ctx.op().args);
    const auto volume = s.store.get<Volume>(id);
    if (volume && volume->attachments.size() <= 1) CA_TRY_VOID(disconnect_volume(s, *volume));
    ctx.on_commit([id](Tx& tx, Instance& record) -> Result<void> {
      std::erase_if(record.block_devices, [&](const BlockDevice& d) { return is_volume(d) && d.volume_id == id; });
      CA_TRY_VOID(release_volume(tx, id, record.uuid, false));
      return {};
    });
    return {};
  };
  return step;
}

Result<Instance> accept_detach(const Message& message, Tx& tx) {
  CA_TRY(Instance record, accept_order(Order::kDetachVolume, message, tx));
  CA_TRY(Volume volume, get_volume(tx, volume_of(message.args)));
  if (attachment_of(volume, record.uuid) == nullptr) {
    return fail(Code::kNotFound, fmt::format("Instance {} is not attached to volume {}.", record.uuid, volume.id));
  }
  const BlockDevice* device = volume_device(record, volume.id);
  if (device != nullptr && device->boot_index == 0) {
    return fail(Code::kInvalid, fmt::format("Cannot detach a root device volume: instance {} boots from volume {}", record.uuid, volume.id),
                "delete the server, which gives the volume back");
  }
  volume.status = "detaching";
  CA_TRY_VOID(put_volume(tx, volume));
  return record;
}

// --- extend

Step grow_step(Services& s) {
  Step step{.name = "grow_volume", .limit = std::chrono::seconds(120), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const Volume volume, volume_now(s, volume_of(ctx.op().args)));
    const auto backend = s.volumes.backends.find(volume.backend);
    if (backend == s.volumes.backends.end()) {
      return fail(Code::kInvalid, fmt::format("volume {} lies in back end '{}', which can't extend it", volume.id, volume.backend));
    }
    return backend->second->extend(volume.id, ctx.op().args.at("new_size").get<std::int64_t>() * kBytesOfGib);
  };
  // What has grown stays so: the volume is shown as large as it was, and can be extended again.
  step.undo = [](StepContext& ctx) -> Result<void> {
    const std::string reason = ctx.op().error ? ctx.op().error->message : std::string();
    ctx.on_commit([id = volume_of(ctx.op().args), reason](Tx& tx, Instance&) { return keep_attached(tx, id, reason); });
    return {};
  };
  return step;
}

Step tell_size_step(Services& s) {
  Step step{.name = "tell_size", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Uuid id = volume_of(ctx.op().args);
    const auto gib = ctx.op().args.at("new_size").get<std::int64_t>();
    auto done = resize_disk(s, ctx.instance().uuid, id, gib * kBytesOfGib);
    if (!done)
      return wrap(std::move(done).error(), fmt::format("the guest of {} can't be told that volume {} has grown", ctx.instance().uuid, id));
    ctx.on_commit([id, gib](Tx& tx, Instance&) -> Result<void> {
      CA_TRY(Volume volume, get_volume(tx, id));
      volume.size_gib = gib;
      volume.status = "in-use";
      return put_volume(tx, volume);
    });
    return {};
  };
  return step;
}

Verb volume_verb(std::string method, Order order) {
  Verb verb;
  verb.action = method;
  verb.method = std::move(method);
  verb.order = order;
  verb.on_success = no_more_task;
  verb.on_failure = leave_server;
  return verb;
}

}  // namespace

Verb attach_volume(Services& s) {
  Verb verb = volume_verb("attach_volume", Order::kAttachVolume);
  verb.steps = {connect_step(s), attach_step(s), tell_tag_step(s)};
  verb.accept = [&s](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kAttachVolume, message, tx));
    CA_TRY(const BlockDevice device, block_device_from_json(message.args.at("bdm")));
    CA_TRY_VOID(reserve_volume(tx, s.config, record, device));
    return record;
  };
  verb.on_refused = [](const Message& message, Tx& tx) -> Result<void> {
    CA_TRY(const BlockDevice device, block_device_from_json(message.args.at("bdm")));
    const auto volume = tx.get<Volume>(device.volume_id);
    const auto* reserved = volume ? attachment_of(*volume, instance_of(message)) : nullptr;
    if (reserved == nullptr || reserved->id != device.id || reserved->attached_us != 0) return {};
    CA_TRY_VOID(release_volume(tx, device.volume_id, instance_of(message), false));
    return {};
  };
  return verb;
}

Verb detach_volume(Services& s) {
  Verb verb = volume_verb("detach_volume", Order::kDetachVolume);
  verb.steps = {detach_step(s), disconnect_step(s)};
  verb.accept = accept_detach;
  verb.on_refused = [](const Message& message, Tx& tx) -> Result<void> {
    const auto volume = tx.get<Volume>(volume_of(message.args));
    if (!volume || volume->status != "detaching" || attachment_of(*volume, instance_of(message)) == nullptr) return {};
    return keep_attached(tx, volume->id, "");
  };
  return verb;
}

Verb extend_volume(Services& s) {
  Verb verb = volume_verb("extend_volume", Order::kExtendVolume);
  verb.steps = {grow_step(s), tell_size_step(s)};
  verb.accept = [](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(Order::kExtendVolume, message, tx));
    CA_TRY(const Volume volume, get_volume(tx, volume_of(message.args)));
    if (attachment_of(volume, record.uuid) == nullptr) {
      return fail(Code::kNotFound, fmt::format("Instance {} is not attached to volume {}.", record.uuid, volume.id));
    }
    return record;
  };
  verb.on_refused = [](const Message& message, Tx& tx) -> Result<void> {
    const auto volume = tx.get<Volume>(volume_of(message.args));
    if (!volume || volume->status != "extending") return {};
    return keep_attached(tx, volume->id, "");
  };
  return verb;
}

}  // namespace ca
