// The image cache in _base: what is there, and orders to clean and check it.

#include <map>

#include "agent/api/api_services.h"
#include "agent/verbs/image_cache_manager.h"

namespace ca {
namespace {

Json base_json(const UsedBase& used, const std::map<Uuid, std::string>& names) {
  const CachedBase& base = used.base;
  const auto name = names.find(base.image_id);
  return {{"name", base.name},
          {"state", base.state},
          {"image_id", base.image_id.empty() ? Json(nullptr) : Json(base.image_id)},
          {"image_name", name == names.end() ? Json(nullptr) : Json(name->second)},
          {"size", base.size_bytes},
          {"allocated", base.allocated_bytes},
          {"used_at", iso_seconds(base.used_us)},
          {"checked_at", base.checked_us == 0 ? Json(nullptr) : Json(iso_seconds(base.checked_us))},
          {"users", used.users}};
}

Result<ApiResponse> list_bases(ApiServices& s) {
  CA_TRY(const auto bases, s.image_cache.list());
  std::map<Uuid, std::string> names;
  for (const auto& image : s.verbs.store.all<ImageMeta>()) names[image->id] = image->name;
  Json list = Json::array();
  for (const UsedBase& used : bases) {
    Json one = base_json(used, names);
    one["age_seconds"] = std::max<std::int64_t>(0, s.verbs.clock.wall_us() - used.base.used_us) / 1'000'000;
    list.push_back(std::move(one));
  }
  ApiResponse response;
  response.body = Json{{"bases", std::move(list)}};
  return response;
}

Result<ApiResponse> clean(ApiServices& s, const Json& body) {
  const std::int64_t age = body.value("min_age_seconds", s.verbs.config.remove_unused_original_minimum_age_seconds);
  CA_TRY(const auto removed, s.image_cache.clean(std::chrono::seconds(age)));
  ApiResponse response;
  response.body = Json{{"removed", removed}};
  return response;
}

Result<ApiResponse> verify(ApiServices& s, const Json& body) {
  const std::string name = body.at("name");
  CA_TRY(const BaseCheck found, s.image_cache.verify(name));
  ApiResponse response;
  response.body = Json{{"name", name}, {"result", to_string(found)}};
  return response;
}

// All of these read files: on a worker.
void on_worker(ApiServices& s, const Reply& reply, std::function<Result<ApiResponse>()> run) {
  s.workers.submit([run = std::move(run), reply](TaskLease&) { reply(run()); });
}

}  // namespace

void add_image_cache_routes(Router& router, ApiServices& s) {
  const std::string base = "/agent/v1/image_cache";
  router.add_async("GET", base, [&s](const ApiRequest&, const Reply& reply) { on_worker(s, reply, [&s] { return list_bases(s); }); });
  const auto order = [&s](const char* schema, Result<ApiResponse> (*run)(ApiServices&, const Json&)) {
    return [&s, schema, run](const ApiRequest& request, const Reply& reply) {
      auto body = checked_body(s, request, schema);
      if (!body) return reply(tl::unexpected<Error>(std::move(body).error()));
      on_worker(s, reply, [&s, run, body = *std::move(body)] { return run(s, body); });
    };
  };
  router.add_async("POST", base + "/clean", order("image_cache_clean", clean));
  router.add_async("POST", base + "/verify", order("image_cache_verify", verify));
}

}  // namespace ca
