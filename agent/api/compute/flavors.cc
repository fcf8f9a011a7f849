#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "agent/api/api_services.h"
#include "agent/core/ids.h"

namespace ca {
namespace {

Json flavor_view(const Flavor& f) {
  return {{"id", f.id},
          {"name", f.name},
          {"ram", f.memory_mib},
          {"vcpus", f.vcpus},
          {"disk", f.root_gib},
          {"OS-FLV-EXT-DATA:ephemeral", f.ephemeral_gib},
          {"swap", f.swap_mib},
          {"rxtx_factor", f.rxtx_factor},
          {"os-flavor-access:is_public", f.is_public},
          {"OS-FLV-DISABLED:disabled", false},
          {"description", f.description.empty() ? Json(nullptr) : Json(f.description)},
          {"extra_specs", f.extra_specs},
          {"links", Json::array({{{"rel", "self"}, {"href", "/compute/v2.1/flavors/" + f.id}}})}};
}

std::int64_t number(const Json& json, const char* name, std::int64_t otherwise) {
  const auto member = json.find(name);
  if (member == json.end() || member->is_null()) return otherwise;
  if (member->is_number_integer()) return member->get<std::int64_t>();
  const auto& text = member->get_ref<const std::string&>();
  return text.empty() ? otherwise : std::stoll(text);  // the schema let only digits through
}

Result<Flavor> flavor_from(const Json& body) {
  Flavor f;
  f.name = body.at("name");
  if (std::ranges::any_of(f.name, [](unsigned char c) { return c < 0x20 || c == 0x7f; }) || f.name.front() == ' ' || f.name.back() == ' ') {
    return fail(Code::kInvalid, "Invalid input for field name: control characters and spaces at its ends are not allowed");
  }
  const auto id = body.find("id");
  if (id == body.end() || id->is_null() || *id == "auto") {
    f.id = new_uuid();
  } else {
    f.id = id->is_string() ? id->get<std::string>() : std::to_string(id->get<std::int64_t>());
  }
  f.memory_mib = number(body, "ram", 0);
  f.vcpus = number(body, "vcpus", 1);
  f.root_gib = number(body, "disk", 0);
  f.ephemeral_gib = number(body, "OS-FLV-EXT-DATA:ephemeral", 0);
  f.swap_mib = number(body, "swap", 0);
  f.is_public = body.value("os-flavor-access:is_public", true);
  if (const auto text = body.find("description"); text != body.end() && text->is_string()) f.description = *text;
  if (const auto factor = body.find("rxtx_factor"); factor != body.end() && factor->is_number()) f.rxtx_factor = *factor;
  return f;
}

Result<ApiResponse> create_flavor(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "flavor_create"));
  CA_TRY(const Flavor flavor, flavor_from(body.at("flavor")));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(const auto all, tx.all<Flavor>());
    for (const Flavor& other : all) {
      if (other.name == flavor.name) return fail(Code::kConflict, fmt::format("Flavor with name {} already exists.", flavor.name));
      if (other.id == flavor.id) return fail(Code::kConflict, fmt::format("Flavor with ID {} already exists.", flavor.id));
    }
    return tx.put(flavor);
  }));
  ApiResponse response;
  response.body = Json{{"flavor", flavor_view(flavor)}};
  return response;
}

Result<ApiResponse> list_flavors(ApiServices& s, const ApiRequest& request, bool detail) {
  auto rows = s.verbs.store.all<Flavor>();
  std::ranges::sort(
      rows, [](const auto& a, const auto& b) { return a->memory_mib != b->memory_mib ? a->memory_mib < b->memory_mib : a->id < b->id; });
  std::vector<std::string> ids;
  for (const auto& row : rows) ids.push_back(row->id);
  CA_TRY(const Page page, page_of(request, ids));
  Json flavors = Json::array();
  for (std::size_t i = page.first; i < page.first + page.count; ++i) {
    Json view = flavor_view(*rows[i]);
    flavors.push_back(detail ? std::move(view) : Json{{"id", view["id"]}, {"name", view["name"]}, {"links", view["links"]}});
  }
  ApiResponse response;
  response.body = Json{{"flavors", std::move(flavors)}};
  return response;
}

Result<std::shared_ptr<const Flavor>> find_flavor(ApiServices& s, const ApiRequest& request) {
  auto flavor = s.verbs.store.get<Flavor>(request.param("id"));
  if (!flavor)
    return fail(Code::kNotFound, fmt::format("Flavor {} could not be found.", request.param("id")),
                "`computectl flavor list` shows the flavors");
  return flavor;
}

Result<ApiResponse> set_extra_specs(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, parse_json(request.raw_body, 1 << 16));
  const auto specs = body.is_object() ? body.find("extra_specs") : body.end();
  if (!body.is_object() || specs == body.end() || !specs->is_object())
    return fail(Code::kInvalid, "Invalid input: {\"extra_specs\": {...}} is expected");
  static const std::regex kKey("^[a-zA-Z0-9_.:-]{1,255}$");
  for (const auto& [key, value] : specs->items()) {
    if (!std::regex_match(key, kKey) || !value.is_string() || value.get_ref<const std::string&>().size() > 255) {
      return fail(Code::kInvalid, fmt::format("Invalid input for extra spec '{}'", key));
    }
  }
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    auto flavor = tx.get<Flavor>(request.param("id"));
    if (!flavor) return fail(Code::kNotFound, fmt::format("Flavor {} could not be found.", request.param("id")));
    for (const auto& [key, value] : specs->items()) flavor->extra_specs[key] = value.get<std::string>();
    return tx.put(*flavor);
  }));
  ApiResponse response;
  response.body = Json{{"extra_specs", *specs}};
  return response;
}

Result<ApiResponse> remove_extra_spec(ApiServices& s, const ApiRequest& request) {
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    auto flavor = tx.get<Flavor>(request.param("id"));
    if (!flavor) return fail(Code::kNotFound, fmt::format("Flavor {} could not be found.", request.param("id")));
    if (flavor->extra_specs.erase(request.param("key")) == 0) {
      return fail(Code::kNotFound, fmt::format("Flavor {} has no extra specs with key {}.", request.param("id"), request.param("key")));
    }
    return tx.put(*flavor);
  }));
  return ApiResponse{};
}

Result<ApiResponse> update_flavor(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, parse_json(request.raw_body, 1 << 17));
  const Json inner = body.is_object() ? body.value("flavor", Json::object()) : Json::object();
  if (!inner.is_object() || inner.size() != 1 || !inner.contains("description") ||
      !(inner["description"].is_string() || inner["description"].is_null())) {
    return fail(Code::kInvalid, "Invalid input: {\"flavor\": {\"description\": \"...\"}} is expected");
  }
  Flavor changed;
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    auto flavor = tx.get<Flavor>(request.param("id"));
    if (!flavor) return fail(Code::kNotFound, fmt::format("Flavor {} could not be found.", request.param("id")));
    flavor->description = inner["description"].is_string() ? inner["description"].get<std::string>() : "";
    changed = *flavor;
    return tx.put(*flavor);
  }));
  ApiResponse response;
  response.body = Json{{"flavor", flavor_view(changed)}};
  return response;
}

}  // namespace

void add_flavor_routes(Router& router, ApiServices& s) {
  const std::string base = "/compute/v2.1/flavors";
  router.add("GET", base, [&s](const ApiRequest& r) { return list_flavors(s, r, false); });
  router.add("GET", base + "/detail", [&s](const ApiRequest& r) { return list_flavors(s, r, true); });
  router.add("POST", base, [&s](const ApiRequest& r) { return create_flavor(s, r); });
  router.add("GET", base + "/{id}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    CA_TRY(const auto flavor, find_flavor(s, r));
    ApiResponse response;
    response.body = Json{{"flavor", flavor_view(*flavor)}};
    return response;
  });
  router.add("PUT", base + "/{id}", [&s](const ApiRequest& r) { return update_flavor(s, r); });
  router.add("DELETE", base + "/{id}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    CA_TRY(const auto flavor, find_flavor(s, r));
    CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) { return tx.erase<Flavor>(flavor->id); }));
    ApiResponse response;
    response.status = 202;
    return response;
  });
  router.add("GET", base + "/{id}/os-extra_specs", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    CA_TRY(const auto flavor, find_flavor(s, r));
    ApiResponse response;
    response.body = Json{{"extra_specs", flavor->extra_specs}};
    return response;
  });
  router.add("POST", base + "/{id}/os-extra_specs", [&s](const ApiRequest& r) { return set_extra_specs(s, r); });
  router.add("DELETE", base + "/{id}/os-extra_specs/{key}", [&s](const ApiRequest& r) { return remove_extra_spec(s, r); });
}

}  // namespace ca
