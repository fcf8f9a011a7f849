// /servers/{id}/os-volume_attachments

#include <fmt/format.h>

#include <algorithm>

#include "agent/api/api_services.h"
#include "agent/core/ids.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

Json attachment_view(const Uuid& server, const BlockDevice& device) {
  return {{"id", device.volume_id},
          {"serverId", server},
          {"volumeId", device.volume_id},
          {"attachment_id", device.id},
          {"bdm_uuid", device.id},
          {"device", device.device_name},
          {"tag", device.tag.empty() ? Json(nullptr) : Json(device.tag)},
          {"delete_on_termination", device.delete_on_termination}};
}

Result<std::shared_ptr<const Instance>> find_server(ApiServices& s, const ApiRequest& request) {
  auto instance = s.verbs.store.get<Instance>(request.param("id"));
  if (!instance) {
    return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", request.param("id")),
                "`computectl server list` shows the instances");
  }
  return instance;
}

tl::unexpected<Error> no_attachment(const Uuid& server, const Uuid& volume) {
  return fail(Code::kNotFound, fmt::format("Instance {} is not attached to volume {}.", server, volume),
              "`computectl server volume list` shows what is attached");
}

Result<ApiResponse> attach(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "volume_attach"));
  const Json& given = body.at("volumeAttachment");
  BlockDevice device;
  device.id = new_uuid();
  device.volume_id = given.at("volumeId");
  if (const auto name = given.find("device"); name != given.end() && name->is_string()) device.device_name = *name;
  device.tag = given.value("tag", "");
  device.delete_on_termination = given.value("delete_on_termination", false);
  const Uuid uuid = request.param("id");
  CA_TRY_VOID(find_server(s, request));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(const Instance record, tx.get<Instance>(uuid));
    CA_TRY_VOID(check_order(Order::kAttachVolume, record.vm_state, record.task_state, uuid));
    CA_TRY_VOID(reserve_volume(tx, s.verbs.config, record, device));
    CA_TRY(const Volume volume, get_volume(tx, device.volume_id));
    device.device_name = attachment_of(volume, uuid)->device_name;
    device.size_gib = volume.size_gib;
    return publish_order(s, tx, "attach_volume", {{"instance", {{"uuid", uuid}}}, {"bdm", to_json(device)}}, request.request_id);
  }));
  ApiResponse response;
  response.body = Json{{"volumeAttachment", attachment_view(uuid, device)}};
  return response;
}

Result<ApiResponse> list(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto server, find_server(s, request));
  Json all = Json::array();
  for (const BlockDevice& device : server->block_devices) {
    if (is_volume(device)) all.push_back(attachment_view(server->uuid, device));
  }
  ApiResponse response;
  response.body = Json{{"volumeAttachments", std::move(all)}};
  return response;
}

Result<ApiResponse> show(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto server, find_server(s, request));
  const BlockDevice* device = volume_device(*server, request.param("volume_id"));
  if (device == nullptr) return no_attachment(server->uuid, request.param("volume_id"));
  ApiResponse response;
  response.body = Json{{"volumeAttachment", attachment_view(server->uuid, *device)}};
  return response;
}

// Of an attachment only delete_on_termination can be changed.
Result<ApiResponse> update(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "volume_attach_update"));
  const Json& given = body.at("volumeAttachment");
  const Uuid id = request.param("volume_id");
  if (given.at("volumeId") != id)
    return fail(Code::kInvalid, "a volume can't be swapped for another", "detach the one and attach the other");
  CA_TRY_VOID(find_server(s, request));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(Instance record, tx.get<Instance>(request.param("id")));
    const auto device = std::ranges::find_if(record.block_devices, [&](const BlockDevice& d) { return is_volume(d) && d.volume_id == id; });
    if (device == record.block_devices.end()) return no_attachment(record.uuid, id);
    if (given.contains("delete_on_termination")) device->delete_on_termination = given.at("delete_on_termination");
    record.updated_us = tx.now_us();
    return tx.put(record);
  }));
  ApiResponse response;
  response.status = 202;
  return response;
}

// A snapshot that is made of an attached volume reads from its guest.
Result<void> check_not_read(Tx& tx, const Uuid& volume) {
  CA_TRY(const auto snapshots, tx.all<VolumeSnapshot>());
  for (const VolumeSnapshot& snapshot : snapshots) {
    if (snapshot.volume_id != volume || snapshot.status != "creating") continue;
    return fail(Code::kConflict, fmt::format("snapshot {} of volume {} is being made", snapshot.id, volume), "wait until it is available");
  }
  return {};
}

Result<ApiResponse> detach(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto server, find_server(s, request));
  const Uuid id = request.param("volume_id");
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(const Instance record, tx.get<Instance>(server->uuid));
    CA_TRY(Volume volume, get_volume(tx, id));
    const BlockDevice* device = volume_device(record, id);
    if (device == nullptr) return no_attachment(record.uuid, id);
    if (device->boot_index == 0) {
      return fail(Code::kForbidden, "Cannot detach a root device volume", "delete the server, which gives the volume back");
    }
    CA_TRY_VOID(check_order(Order::kDetachVolume, record.vm_state, record.task_state, record.uuid));
    if (volume.status != "in-use") {
      return fail(Code::kInvalid, fmt::format("Invalid volume: Unable to detach volume. Volume {} status must be 'in-use', and is '{}'.",
                                              id, volume.status));
    }
    CA_TRY_VOID(check_not_read(tx, id));
    volume.status = "detaching";
    CA_TRY_VOID(put_volume(tx, volume));
    return publish_order(s, tx, "detach_volume", {{"instance", {{"uuid", record.uuid}}}, {"volume_id", id}}, request.request_id);
  }));
  ApiResponse response;
  response.status = 202;
  return response;
}

}  // namespace

void add_volume_attachment_routes(Router& router, ApiServices& s) {
  const std::string base = "/compute/v2.1/servers/{id}/os-volume_attachments";
  router.add("POST", base, [&s](const ApiRequest& r) { return attach(s, r); });
  router.add("GET", base, [&s](const ApiRequest& r) { return list(s, r); });
  router.add("GET", base + "/{volume_id}", [&s](const ApiRequest& r) { return show(s, r); });
  router.add("PUT", base + "/{volume_id}", [&s](const ApiRequest& r) { return update(s, r); });
  router.add("DELETE", base + "/{volume_id}", [&s](const ApiRequest& r) { return detach(s, r); });
}

}  // namespace ca
