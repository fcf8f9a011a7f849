// DELETE /volumes/{id} and POST /volumes/{id}/action.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/api/volume/volume_api.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

constexpr std::array<std::string_view, 4> kDeletable{"available", "error", "error_deleting", "error_extending"};

Result<bool> has_snapshots(Tx& tx, const Uuid& volume) {
  CA_TRY(const auto snapshots, tx.all<VolumeSnapshot>());
  return std::ranges::any_of(snapshots, [&](const VolumeSnapshot& s) { return s.volume_id == volume; });
}

// Something is being made from it.
Result<bool> is_source(Tx& tx, const Uuid& volume) {
  CA_TRY(const auto volumes, tx.all<Volume>());
  return std::ranges::any_of(volumes, [&](const Volume& v) { return v.source_volume_id == volume && v.status == "creating"; });
}

Result<void> mark_deleted(Tx& tx, const Uuid& id) {
  CA_TRY(Volume volume, get_volume(tx, id));
  if (volume.status == "deleting") return {};
  if (std::ranges::find(kDeletable, volume.status) == kDeletable.end() || !volume.attachments.empty()) {
    return fail(Code::kInvalid,
                fmt::format("Invalid volume: Volume status must be available or error or error_extending or error_deleting and must not be "
                            "attached or have snapshots; volume {} is {}",
                            id, volume.status),
                volume.attachments.empty() ? "wait for the end of what is done with it" : "detach it first");
  }
  CA_TRY(const bool snapshots, has_snapshots(tx, id));
  if (snapshots) return fail(Code::kInvalid, fmt::format("Invalid volume: volume {} has snapshots", id), "delete its snapshots first");
  CA_TRY(const bool source, is_source(tx, id));
  if (source)
    return fail(Code::kInvalid, fmt::format("Invalid volume: a volume is being made from volume {}", id), "wait until that is done");
  volume.status = "deleting";
  return put_volume(tx, volume);
}

Result<ApiResponse> delete_volume(ApiServices& s, const ApiRequest& request) {
  const Uuid id = request.param("id");
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) { return mark_deleted(tx, id); }));
  s.verbs.volumes.work_on(id);
  ApiResponse response;
  response.status = 202;
  return response;
}

// Of a volume that a server has, the server's strand does it, and its guest is told.
Result<void> order_extension(ApiServices& s, Tx& tx, Volume& volume, std::int64_t new_gib, const std::string& request_id) {
  if (volume.backend == "connected") {
    return fail(Code::kInvalid, fmt::format("Invalid volume: volume {} belongs to another service, which alone can extend it", volume.id));
  }
  if (volume.status != "available" && volume.status != "in-use") {
    return fail(Code::kInvalid, fmt::format("Invalid volume: Volume {} status must be '(available, in-use)' to extend, currently {}.",
                                            volume.id, volume.status));
  }
  if (new_gib <= volume.size_gib) {
    return fail(Code::kInvalid,
                fmt::format("Invalid input received: New size for extend must be greater than current size. (current: {}, extended: {}).",
                            volume.size_gib, new_gib));
  }
  volume.fault.clear();
  if (volume.attachments.empty()) volume.size_gib = new_gib;
  volume.status = "extending";
  CA_TRY_VOID(put_volume(tx, volume));
  for (const VolumeAttachment& attachment : volume.attachments) {
    CA_TRY(const Instance instance, tx.get<Instance>(attachment.instance_uuid));
    CA_TRY_VOID(check_order(Order::kExtendVolume, instance.vm_state, instance.task_state, instance.uuid));
    CA_TRY_VOID(publish_order(s, tx, "extend_volume",
                              {{"instance", {{"uuid", instance.uuid}}}, {"volume_id", volume.id}, {"new_size", new_gib}}, request_id));
  }
  return {};
}

Result<void> reset_status(Tx& tx, Volume& volume, const std::string& status) {
  if ((status == "in-use") == volume.attachments.empty() && status != "error") {
    return fail(Code::kInvalid,
                fmt::format("Invalid volume: volume {} has {} attachments and can't be {}", volume.id, volume.attachments.size(), status));
  }
  for (const char* busy : {"creating", "deleting", "extending"}) {
    if (volume.status == busy)
      return fail(Code::kInvalid, fmt::format("Invalid volume: the agent is {} volume {}", busy, volume.id), "wait for its end");
  }
  volume.status = status;
  volume.fault.clear();
  return put_volume(tx, volume);
}

Result<void> act(ApiServices& s, Tx& tx, const std::string& action, const Json& body, Volume& volume, const std::string& request_id) {
  if (action == "os-extend") return order_extension(s, tx, volume, body.at("new_size"), request_id);
  if (action == "os-reset_status") return reset_status(tx, volume, body.at("status"));
  if (action == "os-force_delete") return mark_deleted(tx, volume.id);
  if (action == "os-set_bootable") {
    volume.bootable = body.at("bootable");
  } else {
    if (!volume.attachments.empty()) {
      return fail(Code::kInvalid,
                  fmt::format("Invalid volume: Volume {} status must be available to update readonly flag, but current status is: {}.",
                              volume.id, volume.status));
    }
    volume.read_only = body.at("readonly");
  }
  return put_volume(tx, volume);
}

Result<ApiResponse> volume_action(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "volume_action"));
  const std::string action = body.begin().key();
  bool work = false;
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(Volume volume, get_volume(tx, request.param("id")));
    work = volume.attachments.empty();
    return act(s, tx, action, body.begin().value(), volume, request.request_id);
  }));
  if (work) s.verbs.volumes.work_on(request.param("id"));
  ApiResponse response;
  response.status = action == "os-set_bootable" ? 200 : 202;
  return response;
}

}  // namespace

void add_volume_action_routes(Router& router, ApiServices& s) {
  add_volume_route(router, s, "DELETE", "/volumes/{id}", &delete_volume);
  add_volume_route(router, s, "POST", "/volumes/{id}/action", &volume_action);
}

}  // namespace ca
