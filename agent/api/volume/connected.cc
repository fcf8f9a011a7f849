// POST /agent/v1/volumes/connected: a volume of another service, by what its connection_info says.

#include <fmt/format.h>

#include "agent/api/volume/volume_api.h"
#include "agent/core/ids.h"
#include "agent/verbs/volume_connections.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

Result<ApiResponse> connect(ApiServices& s, const ApiRequest& request) {
  CA_TRY(Json body, checked_body(s, request, "volume_connected"));
  Json& given = body.at("volume");
  Volume volume;
  volume.id = new_uuid();
  volume.name = text_of(given, "name");
  volume.description = text_of(given, "description");
  volume.project_id = kProjectId;
  volume.user_id = kUserId;
  volume.size_gib = given.at("size");
  volume.backend = "connected";
  volume.status = "available";
  volume.availability_zone = s.verbs.config.default_availability_zone;
  volume.bootable = given.value("bootable", false);
  volume.multiattach = given.value("multiattach", false);
  volume.metadata = given.value("metadata", Properties{});
  Json& info = given.at("connection_info");
  volume.read_only = info.at("data").value("access_mode", "rw") == "ro";
  const std::string key = take_keys(info);
  volume.connection_info = info.dump();
  CA_TRY(const DiskSource source, connected_source(s.verbs, volume));
  if (source.auth_secret == volume.id && key.empty()) {
    return fail(Code::kInvalid, "Invalid input: connection_info asks for authentication and has no auth_password or keyring");
  }
  // First the key: a record without one could not be used, a key without a record is removed at the next start.
  CA_TRY_VOID(keep_key(s.verbs, volume, key));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    volume.created_us = tx.now_us();
    return put_volume(tx, volume);
  }));
  ApiResponse response;
  response.status = 201;
  response.body = Json{{"volume", volume_view(volume)}};
  return response;
}

}  // namespace

void add_connected_volume_routes(Router& router, ApiServices& s) {
  router.add("POST", "/agent/v1/volumes/connected", [&s](const ApiRequest& r) { return connect(s, r); });
}

}  // namespace ca
