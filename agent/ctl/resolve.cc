#include "agent/ctl/resolve.h"

#include <algorithm>

#include "agent/core/ids.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

tl::unexpected<Error> not_found(std::string_view kind, const std::string& wanted) {
  const std::string noun(kind);
  return fail(Code::kNotFound, "No " + noun + " with a name or ID of '" + wanted + "' exists.",
              "see which there are: computectl " + noun + " list");
}

// The record with that id, or null where there is none.
Result<Json> by_id(Api& api, Service service, const std::string& path, const std::string& id, std::string_view member) {
  const Call call{.service = service, .path = path + "/" + percent_encode(lower(id))};
  auto found = member.empty() ? api.json(call) : api.record(call, member);
  if (!found && found.error().code == Code::kNotFound) return Json();
  return found;
}

Result<Json> find(Api& api, Service service, const std::string& path, std::string_view kind, std::string_view member,
                  std::string_view list_member, const std::string& wanted) {
  if (is_uuid(lower(wanted))) {
    CA_TRY(Json found, by_id(api, service, path, wanted, member));
    if (!found.is_null()) return found;
  }
  CA_TRY(auto records, api.list({.service = service, .path = path, .query = {{"name", wanted}}}, list_member));
  return choose_one(std::move(records), kind, wanted);
}

// Compute takes the name as a regular expression. Names with characters that mean something there are compared here alone.
Query server_name_query(const std::string& name) {
  const bool literal = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  return literal ? Query{{"name", name}} : Query{};
}

Result<Json> server_named(Api& api, const std::string& name) {
  constexpr std::string_view kKeys[] = {"id", "name"};
  CA_TRY(auto records, api.list({.path = "/servers", .query = server_name_query(name)}, "servers", kKeys));
  return choose_one(std::move(records), "server", name);
}

}  // namespace

Result<Json> choose_one(std::vector<Json> records, std::string_view kind, const std::string& wanted, std::string_view name_member) {
  for (Json& record : records) {
    if (text_member(record, "id") == wanted) return std::move(record);
  }
  std::erase_if(records, [&](const Json& record) { return text_member(record, name_member) != wanted; });
  if (records.empty()) return not_found(kind, wanted);
  if (records.size() == 1) return std::move(records[0]);
  std::vector<std::string> ids;
  for (const Json& record : records) ids.push_back(text_member(record, "id"));
  return fail(Code::kConflict, "More than one " + std::string(kind) + " exists with the name '" + wanted + "': " + join(ids, ", "),
              "give one of these ids instead of the name");
}

Result<std::string> server_id(Api& api, const std::string& name_or_id) {
  CA_TRY(const Json server, is_uuid(lower(name_or_id)) ? find_server(api, name_or_id) : server_named(api, name_or_id));
  return text_member(server, "id");
}

Result<Json> find_server(Api& api, const std::string& name_or_id) {
  if (is_uuid(lower(name_or_id))) {
    CA_TRY(Json found, by_id(api, Service::kCompute, "/servers", name_or_id, "server"));
    if (!found.is_null()) return found;
  }
  CA_TRY(const Json named, server_named(api, name_or_id));
  return api.record({.path = "/servers/" + percent_encode(text_member(named, "id"))}, "server");
}

Result<Json> find_image(Api& api, const std::string& name_or_id) {
  return find(api, Service::kImage, "/images", "image", "", "images", name_or_id);
}

Result<Json> find_flavor(Api& api, const std::string& name_or_id) {
  CA_TRY(auto records, api.list({.path = "/flavors/detail", .query = {{"is_public", "None"}}}, "flavors"));
  return choose_one(std::move(records), "flavor", name_or_id);
}

Result<Json> find_network(Api& api, const std::string& name_or_id) {
  return find(api, Service::kNetwork, "/networks", "network", "network", "networks", name_or_id);
}

Result<Json> find_subnet(Api& api, const std::string& name_or_id) {
  return find(api, Service::kNetwork, "/subnets", "subnet", "subnet", "subnets", name_or_id);
}

Result<Json> find_port(Api& api, const std::string& name_or_id) {
  return find(api, Service::kNetwork, "/ports", "port", "port", "ports", name_or_id);
}

Result<Json> find_volume(Api& api, const std::string& name_or_id) {
  CA_TRY(const Json found, find(api, Service::kVolume, "/volumes", "volume", "volume", "volumes", name_or_id));
  if (found.contains("status")) return found;
  return api.record({.service = Service::kVolume, .path = "/volumes/" + percent_encode(text_member(found, "id"))}, "volume");
}

Result<Json> find_volume_snapshot(Api& api, const std::string& name_or_id) {
  return find(api, Service::kVolume, "/snapshots", "snapshot", "snapshot", "snapshots", name_or_id);
}

// 2.87 is the last microversion with vCPUs and memory in these answers.
Result<Json> find_hypervisor(Api& api, const std::string& name_or_id) {
  CA_TRY(auto records, api.list({.path = "/os-hypervisors", .microversion = "2.87"}, "hypervisors"));
  CA_TRY(const Json named, choose_one(std::move(records), "hypervisor", name_or_id, "hypervisor_hostname"));
  return api.record({.path = "/os-hypervisors/" + percent_encode(text_member(named, "id")), .microversion = "2.87"}, "hypervisor");
}

}  // namespace ca::ctl
