#include <fmt/format.h>

#include <algorithm>

#include "agent/api/volume/volume_api.h"
#include "agent/core/clock.h"
#include "agent/core/ids.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

Json snapshot_view(const VolumeSnapshot& s) {
  Json view{{"id", s.id},
            {"name", s.name},
            {"description", null_if_empty(s.description)},
            {"volume_id", s.volume_id},
            {"size", s.size_gib},
            {"status", s.status},
            {"metadata", s.metadata},
            {"os-extended-snapshot-attributes:progress", s.status == "available" ? "100%" : "0%"},
            {"os-extended-snapshot-attributes:project_id", s.project_id},
            {"created_at", iso_micros(s.created_us)},
            {"updated_at", s.updated_us == 0 ? Json(nullptr) : Json(iso_micros(s.updated_us))}};
  if (!s.fault.empty()) view["fault"] = s.fault;
  return view;
}

Result<VolumeSnapshot> get_snapshot(Tx& tx, const Uuid& id) {
  auto snapshot = tx.get<VolumeSnapshot>(id);
  if (!snapshot && snapshot.error().code == Code::kNotFound) {
    return fail(Code::kNotFound, fmt::format("Snapshot {} could not be found.", id),
                "`computectl volume snapshot list` shows the snapshots");
  }
  return snapshot;
}

Result<void> check_source(const Volume& volume, bool force) {
  if (volume.backend == "connected") {
    return fail(Code::kInvalid,
                fmt::format("Invalid volume: volume {} belongs to another service, which alone can snapshot it", volume.id));
  }
  if (volume.status == "available" || (force && volume.status == "in-use")) return {};
  const bool attached = volume.status == "in-use";
  return fail(Code::kInvalid,
              fmt::format("Invalid volume: Volume {} status must be available{}, but current status is: {}.", volume.id,
                          force ? " or in-use" : "", volume.status),
              attached ? "give --force to snapshot an attached volume, as it is at one moment" : "wait until it is available");
}

Result<ApiResponse> create_snapshot(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "snapshot_create"));
  const Json& given = body.at("snapshot");
  VolumeSnapshot snapshot;
  snapshot.id = new_uuid();
  snapshot.name = text_of(given, "name");
  snapshot.description = text_of(given, "description");
  snapshot.project_id = kProjectId;
  snapshot.volume_id = given.at("volume_id");
  snapshot.metadata = given.value("metadata", Properties{});
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(const Volume volume, get_volume(tx, snapshot.volume_id));
    CA_TRY_VOID(check_source(volume, given.value("force", false)));
    snapshot.size_gib = volume.size_gib;
    snapshot.created_us = snapshot.updated_us = tx.now_us();
    return tx.put(snapshot);
  }));
  s.verbs.volumes.work_on(snapshot.id);
  ApiResponse response;
  response.status = 202;
  response.body = Json{{"snapshot", snapshot_view(snapshot)}};
  return response;
}

bool wanted(const ApiRequest& request, const VolumeSnapshot& snapshot) {
  const std::string name = request.query_or("name", "");
  const std::string status = request.query_or("status", "");
  const std::string volume = request.query_or("volume_id", "");
  return (name.empty() || snapshot.name == name) && (status.empty() || snapshot.status == status) &&
         (volume.empty() || snapshot.volume_id == volume);
}

Result<ApiResponse> list_snapshots(ApiServices& s, const ApiRequest& request) {
  auto rows = s.verbs.store.all<VolumeSnapshot>();
  std::erase_if(rows, [&](const auto& row) { return !wanted(request, *row); });
  std::ranges::sort(
      rows, [](const auto& a, const auto& b) { return a->created_us != b->created_us ? a->created_us > b->created_us : a->id < b->id; });
  std::vector<std::string> ids;
  for (const auto& row : rows) ids.push_back(row->id);
  CA_TRY(const Page page, page_of(request, ids));
  Json list = Json::array();
  for (std::size_t i = page.first; i < page.first + page.count; ++i) list.push_back(snapshot_view(*rows[i]));
  ApiResponse response;
  response.body = Json{{"snapshots", std::move(list)}};
  if (page.more && page.count > 0) {
    const std::string next = fmt::format("/volume/v3/snapshots?limit={}&marker={}", page.count, ids[page.first + page.count - 1]);
    (*response.body)["snapshots_links"] = Json::array({{{"rel", "next"}, {"href", next}}});
  }
  return response;
}

Result<ApiResponse> show_snapshot(ApiServices& s, const ApiRequest& request) {
  const auto snapshot = s.verbs.store.get<VolumeSnapshot>(request.param("id"));
  if (!snapshot) return fail(Code::kNotFound, fmt::format("Snapshot {} could not be found.", request.param("id")));
  ApiResponse response;
  response.body = Json{{"snapshot", snapshot_view(*snapshot)}};
  return response;
}

Result<ApiResponse> update_snapshot(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "volume_update"));
  if (!body.contains("snapshot")) return fail(Code::kInvalid, "Invalid input: the member snapshot is missing");
  const Json& given = body.at("snapshot");
  VolumeSnapshot changed;
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(changed, get_snapshot(tx, request.param("id")));
    if (given.contains("name")) changed.name = text_of(given, "name");
    if (given.contains("description")) changed.description = text_of(given, "description");
    if (given.contains("metadata")) changed.metadata = given.at("metadata").get<Properties>();
    changed.updated_us = tx.now_us();
    return tx.put(changed);
  }));
  ApiResponse response;
  response.body = Json{{"snapshot", snapshot_view(changed)}};
  return response;
}

Result<ApiResponse> delete_snapshot(ApiServices& s, const ApiRequest& request) {
  const Uuid id = request.param("id");
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(VolumeSnapshot snapshot, get_snapshot(tx, id));
    if (snapshot.status == "creating") {
      return fail(Code::kInvalid, fmt::format("Invalid snapshot: snapshot {} is being made", id), "wait until it is available");
    }
    CA_TRY(const auto volumes, tx.all<Volume>());
    for (const Volume& volume : volumes) {
      if (volume.snapshot_id != id || volume.status != "creating") continue;
      return fail(Code::kInvalid, fmt::format("Invalid snapshot: volume {} is being made from snapshot {}", volume.id, id),
                  "wait until that is done");
    }
    snapshot.status = "deleting";
    snapshot.updated_us = tx.now_us();
    return tx.put(snapshot);
  }));
  s.verbs.volumes.work_on(id);
  ApiResponse response;
  response.status = 202;
  return response;
}

}  // namespace

void add_volume_snapshot_routes(Router& router, ApiServices& s) {
  add_volume_route(router, s, "GET", "/snapshots", &list_snapshots);
  add_volume_route(router, s, "GET", "/snapshots/detail", &list_snapshots);
  add_volume_route(router, s, "POST", "/snapshots", &create_snapshot);
  add_volume_route(router, s, "GET", "/snapshots/{id}", &show_snapshot);
  add_volume_route(router, s, "PUT", "/snapshots/{id}", &update_snapshot);
  add_volume_route(router, s, "DELETE", "/snapshots/{id}", &delete_snapshot);
}

}  // namespace ca
