// What is changed of a server's record without an order: its name and description, metadata and tags; and its diagnostics.

#include <fmt/format.h>

#include <algorithm>

#include "agent/api/api_services.h"
#include "agent/api/compute/server_view.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

constexpr std::size_t kMostMetadata = 128;  // nova's default quota
constexpr std::size_t kMostTags = 50;       // nova's MAX_TAG_COUNT

using Change = std::function<Result<void>(Instance&)>;

tl::unexpected<Error> no_server(const Uuid& uuid) {
  return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", uuid), "`computectl server list` shows the instances");
}

Result<std::shared_ptr<const Instance>> find_server(ApiServices& s, const ApiRequest& request) {
  auto instance = s.verbs.store.get<Instance>(request.param("id"));
  if (!instance) return no_server(request.param("id"));
  return instance;
}

// The record after the change.
Result<Instance> change_server(ApiServices& s, const ApiRequest& request, const Change& change) {
  const Uuid uuid = request.param("id");
  Instance changed;
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    auto record = tx.get<Instance>(uuid);
    if (!record) return no_server(uuid);
    CA_TRY_VOID(change(*record));
    record->updated_us = tx.now_us();
    changed = *record;
    return tx.put(*record);
  }));
  return changed;
}

ApiResponse json_response(Json body, int status = 200) {
  ApiResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

ApiResponse empty_response(int status) {
  ApiResponse response;
  response.status = status;
  return response;
}

// --- PUT /servers/{id}

Result<void> apply_edit(const Json& edit, Instance& record) {
  if (const auto name = edit.find("name"); name != edit.end()) {
    const std::string text = *name;
    const bool control = std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (control || text.front() == ' ' || text.back() == ' ') {
      return fail(Code::kInvalid, "Invalid input for field name: control characters and spaces at its ends are not allowed");
    }
    record.name = text;
  }
  if (const auto text = edit.find("description"); text != edit.end()) record.description = text->is_null() ? "" : text->get<std::string>();
  if (const auto hostname = edit.find("hostname"); hostname != edit.end()) record.hostname = *hostname;
  return {};
}

Result<ApiResponse> update_server(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "server_update"));
  CA_TRY(const Instance changed, change_server(s, request, [&](Instance& record) { return apply_edit(body.at("server"), record); }));
  JsonText out;
  out.begin_object().key("server");
  write_server(out, changed, server_view_context(s.verbs.store));
  ApiResponse response;
  response.text = out.end_object().take();
  return response;
}

// --- metadata

// nova's check_instance_state of update_instance_metadata.
Result<void> check_metadata_state(const Instance& record) {
  switch (record.vm_state) {
    case VmState::kActive:
    case VmState::kPaused:
    case VmState::kSuspended:
    case VmState::kStopped: break;
    default:
      return fail(Code::kConflict,
                  fmt::format("Cannot 'update metadata' instance {} while it is in vm_state {}", record.uuid, to_string(record.vm_state)));
  }
  if (record.task_state == TaskState::kNone) return {};
  return fail(Code::kConflict,
              fmt::format("Cannot 'update metadata' instance {} while it is in task_state {}", record.uuid, to_string(record.task_state)));
}

Result<Properties> change_metadata(ApiServices& s, const ApiRequest& request, const std::function<Result<void>(Properties&)>& change) {
  CA_TRY(const Instance changed, change_server(s, request, [&](Instance& record) -> Result<void> {
           CA_TRY_VOID(check_metadata_state(record));
           CA_TRY_VOID(change(record.metadata));
           if (record.metadata.size() <= kMostMetadata) return {};
           return fail(Code::kForbidden, fmt::format("Maximum number of metadata items exceeds {}", kMostMetadata));
         }));
  return changed.metadata;
}

tl::unexpected<Error> no_key(const std::string& key) {
  return fail(Code::kNotFound, fmt::format("Metadata item was not found: {}", key), "`computectl server show` shows the properties");
}

Result<ApiResponse> set_metadata(ApiServices& s, const ApiRequest& request, bool replace) {
  CA_TRY(const Json body, checked_body(s, request, "server_metadata"));
  const auto given = body.at("metadata").get<Properties>();
  CA_TRY(const Properties now, change_metadata(s, request, [&](Properties& metadata) -> Result<void> {
           if (replace) metadata.clear();
           for (const auto& [key, value] : given) metadata[key] = value;
           return {};
         }));
  return json_response({{"metadata", now}});
}

Result<ApiResponse> show_metadata(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto server, find_server(s, request));
  return json_response({{"metadata", server->metadata}});
}

Result<ApiResponse> show_metadata_key(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto server, find_server(s, request));
  const auto found = server->metadata.find(request.param("key"));
  if (found == server->metadata.end()) return no_key(request.param("key"));
  return json_response({{"meta", {{found->first, found->second}}}});
}

Result<ApiResponse> set_metadata_key(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "server_meta"));
  const std::string key = request.param("key");
  const Json& meta = body.at("meta");
  if (!meta.contains(key)) return fail(Code::kInvalid, "Request body and URI mismatch");
  CA_TRY_VOID(change_metadata(s, request, [&](Properties& metadata) -> Result<void> {
    metadata[key] = meta.at(key);
    return {};
  }));
  return json_response({{"meta", meta}});
}

Result<ApiResponse> remove_metadata_key(ApiServices& s, const ApiRequest& request) {
  const std::string key = request.param("key");
  CA_TRY_VOID(change_metadata(s, request, [&](Properties& metadata) -> Result<void> {
    if (metadata.erase(key) == 0) return no_key(key);
    return {};
  }));
  return empty_response(204);
}

// --- tags

Result<void> check_tag(const std::string& tag) {
  if (tag.empty() || tag.size() > 60 || tag.find_first_of(",/") != std::string::npos) {
    return fail(Code::kInvalid, fmt::format("Invalid input for field tag: '{}' must have 1 to 60 characters, without ',' and '/'", tag));
  }
  return {};
}

Result<void> set_tags(Instance& record, std::vector<std::string> tags) {
  std::ranges::sort(tags);
  tags.erase(std::ranges::unique(tags).begin(), tags.end());
  if (tags.size() > kMostTags) return fail(Code::kInvalid, fmt::format("The number of tags exceeded the per-server limit {}", kMostTags));
  record.tags = std::move(tags);
  return {};
}

tl::unexpected<Error> no_tag(const Uuid& uuid, const std::string& tag) {
  return fail(Code::kNotFound, fmt::format("Server '{}' has no tag '{}'", uuid, tag), "`computectl server show` shows the tags");
}

Result<ApiResponse> list_tags(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto server, find_server(s, request));
  return json_response({{"tags", server->tags}});
}

Result<ApiResponse> replace_tags(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "server_tags"));
  CA_TRY(const Instance changed,
         change_server(s, request, [&](Instance& record) { return set_tags(record, body.at("tags").get<std::vector<std::string>>()); }));
  return json_response({{"tags", changed.tags}});
}

Result<ApiResponse> remove_tags(ApiServices& s, const ApiRequest& request) {
  CA_TRY_VOID(change_server(s, request, [](Instance& record) { return set_tags(record, {}); }));
  return empty_response(204);
}

Result<ApiResponse> show_tag(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto server, find_server(s, request));
  if (std::ranges::find(server->tags, request.param("tag")) == server->tags.end()) return no_tag(server->uuid, request.param("tag"));
  return empty_response(204);
}

Result<ApiResponse> add_tag(ApiServices& s, const ApiRequest& request) {
  const std::string tag = request.param("tag");
  CA_TRY_VOID(check_tag(tag));
  bool had = false;
  CA_TRY_VOID(change_server(s, request, [&](Instance& record) {
    had = std::ranges::find(record.tags, tag) != record.tags.end();
    std::vector<std::string> tags = record.tags;
    tags.push_back(tag);
    return set_tags(record, std::move(tags));
  }));
  ApiResponse response = empty_response(had ? 204 : 201);
  if (!had) response.headers["Location"] = "/compute/v2.1/servers/" + request.param("id") + "/tags/" + tag;
  return response;
}

Result<ApiResponse> remove_tag(ApiServices& s, const ApiRequest& request) {
  const std::string tag = request.param("tag");
  CA_TRY_VOID(change_server(s, request, [&](Instance& record) -> Result<void> {
    if (std::erase(record.tags, tag) == 0) return no_tag(record.uuid, tag);
    return {};
  }));
  return empty_response(204);
}

// --- diagnostics: libvirt is asked, so a worker does it

void show_diagnostics(ApiServices& s, const ApiRequest& request, const Reply& reply) {
  Message message;
  message.args = {{"instance", {{"uuid", request.param("id")}}}};
  s.workers.submit([&s, message, reply](TaskLease& lease) {
    constexpr std::chrono::seconds kLimit{30};
    lease.rearm(kLimit, [reply] { reply(fail(Code::kTimeout, "reading the guest's counters did not end in time")); });
    auto counters = get_diagnostics(s.verbs, message);
    if (!lease.rearm(kLimit, [] {})) return;
    if (counters) {
      reply(json_response(*std::move(counters)));
    } else {
      reply(tl::unexpected<Error>(std::move(counters).error()));
    }
  });
}

}  // namespace

void add_server_edit_routes(Router& router, ApiServices& s) {
  const std::string server = "/compute/v2.1/servers/{id}";
  const auto add = [&](const char* method, const std::string& path, Result<ApiResponse> (*handler)(ApiServices&, const ApiRequest&)) {
    router.add(method, server + path, [&s, handler](const ApiRequest& r) { return handler(s, r); });
  };
  add("PUT", "", update_server);
  add("GET", "/metadata", show_metadata);
  router.add("POST", server + "/metadata", [&s](const ApiRequest& r) { return set_metadata(s, r, false); });
  router.add("PUT", server + "/metadata", [&s](const ApiRequest& r) { return set_metadata(s, r, true); });
  add("GET", "/metadata/{key}", show_metadata_key);
  add("PUT", "/metadata/{key}", set_metadata_key);
  add("DELETE", "/metadata/{key}", remove_metadata_key);
  add("GET", "/tags", list_tags);
  add("PUT", "/tags", replace_tags);
  add("DELETE", "/tags", remove_tags);
  add("GET", "/tags/{tag}", show_tag);
  add("PUT", "/tags/{tag}", add_tag);
  add("DELETE", "/tags/{tag}", remove_tag);
  router.add_async("GET", server + "/diagnostics", [&s](const ApiRequest& r, const Reply& reply) { show_diagnostics(s, r, reply); });
}

}  // namespace ca
