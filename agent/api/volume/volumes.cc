#include <fmt/format.h>

#include <algorithm>

#include "agent/api/volume/volume_api.h"
#include "agent/core/clock.h"
#include "agent/core/ids.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

constexpr const char* kType = "__DEFAULT__";

Result<std::shared_ptr<const Volume>> find_volume(ApiServices& s, const ApiRequest& request) {
  auto volume = s.verbs.store.get<Volume>(request.param("id"));
  if (!volume) {
    return fail(Code::kNotFound, fmt::format("Volume {} could not be found.", request.param("id")),
                "`computectl volume list` shows the volumes");
  }
  return volume;
}

std::int64_t gib_of(std::int64_t bytes) { return (bytes + kBytesOfGib - 1) / kBytesOfGib; }

Result<void> check_size(const Volume& volume, std::int64_t least_gib, const std::string& source) {
  if (volume.size_gib >= least_gib) return {};
  return fail(Code::kInvalid,
              fmt::format("Invalid input received: the size of {} GB is smaller than the {} GB of {}", volume.size_gib, least_gib, source),
              fmt::format("give --size {} or more", least_gib));
}

Result<void> from_image(Tx& tx, Volume& volume) {
  auto image = tx.get<ImageMeta>(volume.image_id);
  if (!image)
    return fail(Code::kInvalid, fmt::format("Image {} could not be found.", volume.image_id), "`computectl image list` shows the images");
  if (image->status != ImageStatus::kActive) {
    return fail(Code::kInvalid,
                fmt::format("Invalid input received: image {} is not active: its status is {}", image->id, to_string(image->status)));
  }
  CA_TRY_VOID(check_size(volume, std::max(gib_of(image->virtual_size_bytes), image->min_disk_gib), "image " + image->id));
  volume.bootable = true;
  volume.image_metadata = image->properties;
  volume.image_metadata["image_id"] = image->id;
  volume.image_metadata["image_name"] = image->name;
  return {};
}

Result<void> from_snapshot(Tx& tx, Volume& volume) {
  auto snapshot = tx.get<VolumeSnapshot>(volume.snapshot_id);
  if (!snapshot) return fail(Code::kNotFound, fmt::format("Snapshot {} could not be found.", volume.snapshot_id));
  if (snapshot->status != "available") {
    return fail(Code::kInvalid,
                fmt::format("Invalid snapshot: snapshot {} status must be available, and is {}", snapshot->id, snapshot->status));
  }
  if (volume.size_gib == 0) volume.size_gib = snapshot->size_gib;
  CA_TRY_VOID(check_size(volume, snapshot->size_gib, "snapshot " + snapshot->id));
  CA_TRY(const Volume origin, get_volume(tx, snapshot->volume_id));
  volume.bootable = origin.bootable;
  volume.image_metadata = origin.image_metadata;
  return {};
}

Result<void> from_volume(Tx& tx, Volume& volume) {
  CA_TRY(const Volume origin, get_volume(tx, volume.source_volume_id));
  if (origin.backend == "connected") {
    return fail(Code::kInvalid, fmt::format("Invalid volume: volume {} belongs to another service, which alone can copy it", origin.id));
  }
  if (origin.status != "available") {
    return fail(Code::kInvalid, fmt::format("Invalid volume: volume {} status must be available, and is {}", origin.id, origin.status),
                "detach it first, or make a snapshot with --force and a volume from that");
  }
  if (volume.size_gib == 0) volume.size_gib = origin.size_gib;
  CA_TRY_VOID(check_size(volume, origin.size_gib, "volume " + origin.id));
  volume.bootable = origin.bootable;
  volume.image_metadata = origin.image_metadata;
  return {};
}

Result<Volume> ordered_volume(ApiServices& s, const Json& given) {
  Volume volume;
  volume.id = new_uuid();
  volume.name = text_of(given, "name");
  volume.description = text_of(given, "description");
  volume.project_id = kProjectId;
  volume.user_id = kUserId;
  if (const auto size = given.find("size"); size != given.end() && size->is_number()) volume.size_gib = *size;
  volume.image_id = text_of(given, "imageRef");
  volume.snapshot_id = text_of(given, "snapshot_id");
  volume.source_volume_id = text_of(given, "source_volid");
  volume.multiattach = given.value("multiattach", false);
  volume.metadata = given.value("metadata", Properties{});
  volume.availability_zone = s.verbs.config.default_availability_zone;
  const std::string type = text_of(given, "volume_type");
  if (!type.empty() && type != kType) return fail(Code::kNotFound, fmt::format("Volume type with name {} could not be found.", type));
  const std::string zone = text_of(given, "availability_zone");
  if (!zone.empty() && zone != volume.availability_zone) {
    return fail(Code::kInvalid, fmt::format("Availability zone '{}' is invalid.", zone),
                "this agent serves zone " + volume.availability_zone);
  }
  const int sources = !volume.image_id.empty() + !volume.snapshot_id.empty() + !volume.source_volume_id.empty();
  if (sources > 1)
    return fail(Code::kInvalid, "Invalid input received: a volume is made from one of imageRef, snapshot_id and source_volid");
  if (volume.size_gib == 0 && volume.snapshot_id.empty() && volume.source_volume_id.empty()) {
    return fail(Code::kInvalid, "Invalid input received: size is needed", "give --size in GB");
  }
  return volume;
}

Result<ApiResponse> create_volume(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "volume_create"));
  CA_TRY(Volume volume, ordered_volume(s, body.at("volume")));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    if (!volume.image_id.empty()) CA_TRY_VOID(from_image(tx, volume));
    if (!volume.snapshot_id.empty()) CA_TRY_VOID(from_snapshot(tx, volume));
    if (!volume.source_volume_id.empty()) CA_TRY_VOID(from_volume(tx, volume));
    volume.status = "creating";
    volume.created_us = tx.now_us();
    return put_volume(tx, volume);
  }));
  s.verbs.volumes.work_on(volume.id);
  ApiResponse response;
  response.status = 202;
  response.body = Json{{"volume", volume_view(volume)}};
  return response;
}

bool wanted(const ApiRequest& request, const Volume& volume) {
  const std::string name = request.query_or("name", "");
  const std::string status = request.query_or("status", "");
  return (name.empty() || volume.name == name) && (status.empty() || volume.status == status);
}

template <bool kDetail>
Result<ApiResponse> list_volumes(ApiServices& s, const ApiRequest& request) {
  auto rows = s.verbs.store.all<Volume>();
  std::erase_if(rows, [&](const auto& row) { return !wanted(request, *row); });
  // Newest first, as Cinder.
  std::ranges::sort(
      rows, [](const auto& a, const auto& b) { return a->created_us != b->created_us ? a->created_us > b->created_us : a->id < b->id; });
  std::vector<std::string> ids;
  for (const auto& row : rows) ids.push_back(row->id);
  CA_TRY(const Page page, page_of(request, ids));
  Json list = Json::array();
  for (std::size_t i = page.first; i < page.first + page.count; ++i) {
    list.push_back(kDetail ? volume_view(*rows[i]) : Json{{"id", rows[i]->id}, {"name", rows[i]->name}});
  }
  ApiResponse response;
  response.body = Json{{"volumes", std::move(list)}};
  if (page.more && page.count > 0) {
    const std::string next =
        fmt::format("/volume/v3/volumes{}?limit={}&marker={}", kDetail ? "/detail" : "", page.count, ids[page.first + page.count - 1]);
    (*response.body)["volumes_links"] = Json::array({{{"rel", "next"}, {"href", next}}});
  }
  return response;
}

Result<ApiResponse> show_volume(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto volume, find_volume(s, request));
  ApiResponse response;
  response.body = Json{{"volume", volume_view(*volume)}};
  return response;
}

Result<ApiResponse> update_volume(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "volume_update"));
  if (!body.contains("volume")) return fail(Code::kInvalid, "Invalid input: the member volume is missing");
  const Json& given = body.at("volume");
  Volume changed;
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(changed, get_volume(tx, request.param("id")));
    if (given.contains("name")) changed.name = text_of(given, "name");
    if (given.contains("description")) changed.description = text_of(given, "description");
    if (given.contains("metadata")) changed.metadata = given.at("metadata").get<Properties>();
    return put_volume(tx, changed);
  }));
  ApiResponse response;
  response.body = Json{{"volume", volume_view(changed)}};
  return response;
}

// POST adds, PUT replaces.
Result<ApiResponse> set_metadata(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "volume_metadata"));
  const auto given = body.at("metadata").get<Properties>();
  Volume changed;
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(changed, get_volume(tx, request.param("id")));
    if (request.method == "PUT") changed.metadata.clear();
    for (const auto& [key, value] : given) changed.metadata[key] = value;
    return put_volume(tx, changed);
  }));
  ApiResponse response;
  response.body = Json{{"metadata", changed.metadata}};
  return response;
}

Result<ApiResponse> unset_metadata(ApiServices& s, const ApiRequest& request) {
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(Volume volume, get_volume(tx, request.param("id")));
    if (volume.metadata.erase(request.param("key")) == 0) return fail(Code::kNotFound, "Metadata item was not found");
    return put_volume(tx, volume);
  }));
  return ApiResponse{};
}

Json type_view() {
  return {{"id", "00000000-0000-4000-8000-000000000001"},
          {"name", kType},
          {"is_public", true},
          {"description", "Raw sparse files"},
          {"extra_specs", Json::object()}};
}

}  // namespace

Json null_if_empty(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

std::string text_of(const Json& body, const char* name) {
  const auto member = body.find(name);
  return member != body.end() && member->is_string() ? member->get<std::string>() : std::string();
}

Json volume_view(const Volume& v) {
  Json attachments = Json::array();
  for (const VolumeAttachment& a : v.attachments) {
    attachments.push_back({{"id", v.id},
                           {"attachment_id", a.id},
                           {"volume_id", v.id},
                           {"server_id", a.instance_uuid},
                           {"host_name", a.host},
                           {"device", a.device_name},
                           {"attached_at", a.attached_us == 0 ? Json(nullptr) : Json(iso_micros(a.attached_us))}});
  }
  Json metadata = v.metadata;
  if (v.read_only) metadata["readonly"] = "True";
  Json view{{"id", v.id},
            {"name", v.name},
            {"description", null_if_empty(v.description)},
            {"size", v.size_gib},
            {"status", v.status},
            {"attachments", std::move(attachments)},
            {"availability_zone", v.availability_zone},
            {"bootable", v.bootable ? "true" : "false"},
            {"multiattach", v.multiattach},
            {"encrypted", false},
            {"metadata", std::move(metadata)},
            {"snapshot_id", null_if_empty(v.snapshot_id)},
            {"source_volid", null_if_empty(v.source_volume_id)},
            {"volume_type", kType},
            {"user_id", v.user_id},
            {"os-vol-tenant-attr:tenant_id", v.project_id},
            {"replication_status", nullptr},
            {"consistencygroup_id", nullptr},
            {"migration_status", nullptr},
            {"backend", v.backend},
            {"created_at", iso_micros(v.created_us)},
            {"updated_at", v.updated_us == 0 ? Json(nullptr) : Json(iso_micros(v.updated_us))}};
  if (!v.image_metadata.empty()) view["volume_image_metadata"] = v.image_metadata;
  if (!v.fault.empty()) view["fault"] = v.fault;
  return view;
}

void add_volume_route(Router& router, ApiServices& s, const std::string& method, const std::string& path, VolumeHandler handler) {
  for (const char* base : {"/volume/v3", "/volume/v3/{project_id}"}) {
    router.add(method, base + path, [&s, handler](const ApiRequest& request) -> Result<ApiResponse> {
      const std::string project = request.param("project_id");
      if (!project.empty() && project != kProjectId) return fail(Code::kNotFound, "there is no project " + project);
      return handler(s, request);
    });
  }
}

void add_volume_routes(Router& router, ApiServices& s) {
  add_volume_route(router, s, "GET", "/volumes", &list_volumes<false>);
  add_volume_route(router, s, "GET", "/volumes/detail", &list_volumes<true>);
  add_volume_route(router, s, "POST", "/volumes", &create_volume);
  add_volume_route(router, s, "GET", "/volumes/{id}", &show_volume);
  add_volume_route(router, s, "PUT", "/volumes/{id}", &update_volume);
  add_volume_route(router, s, "POST", "/volumes/{id}/metadata", &set_metadata);
  add_volume_route(router, s, "PUT", "/volumes/{id}/metadata", &set_metadata);
  add_volume_route(router, s, "DELETE", "/volumes/{id}/metadata/{key}", &unset_metadata);
  add_volume_route(router, s, "GET", "/types", [](ApiServices&, const ApiRequest&) -> Result<ApiResponse> {
    ApiResponse response;
    response.body = Json{{"volume_types", Json::array({type_view()})}};
    return response;
  });
  add_volume_action_routes(router, s);
}

}  // namespace ca
