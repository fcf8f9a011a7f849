#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/server_internal.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

using Names = std::map<std::string, std::string>;

struct ListColumn {
  std::string heading;
  std::string_view member;  // of the server; the ones in angle brackets are made here
};

// Column names that -c may add to the usual ones (python-openstackclient's "additional columns").
constexpr std::array<std::array<std::string_view, 3>, 11> kMoreColumns{{
    {"Project ID", "project_id", "tenant_id"},
    {"User ID", "user_id", "user_id"},
    {"Created At", "created_at", "created"},
    {"Security Groups", "security_groups", "security_groups"},
    {"Task State", "task_state", "OS-EXT-STS:task_state"},
    {"Power State", "power_state", "OS-EXT-STS:power_state"},
    {"Image ID", "image_id", "<image-id>"},
    {"Availability Zone", "availability_zone", "OS-EXT-AZ:availability_zone"},
    {"Host", "host", "OS-EXT-SRV-ATTR:host"},
    {"Properties", "properties", "metadata"},
    {"Host Status", "host_status", "host_status"},
}};

std::vector<ListColumn> columns_for(const Args& args) {
  const bool names = !args.has("no-name-lookup");
  std::vector<ListColumn> columns{{"ID", "id"}, {"Name", "name"}, {"Status", "status"}};
  if (args.has("long")) {
    columns.insert(columns.end(), {{"Task State", "OS-EXT-STS:task_state"}, {"Power State", "OS-EXT-STS:power_state"}});
  }
  columns.push_back({"Networks", "addresses"});
  if (args.has("long")) {
    columns.insert(columns.end(), {{"Image Name", "<image-name>"}, {"Image ID", "<image-id>"}});
  } else {
    columns.push_back({"Image", names ? "<image-name>" : "<image-id>"});
  }
  columns.push_back({"Flavor", "flavor"});
  if (args.has("long")) {
    columns.insert(columns.end(), {{"Availability Zone", "OS-EXT-AZ:availability_zone"},
                                   {"Host", "OS-EXT-SRV-ATTR:host"},
                                   {"Properties", "metadata"},
                                   {"Host Status", "host_status"}});
  }
  for (const std::string& wanted : args.all("column")) {
    for (const auto& [heading, alias, member] : kMoreColumns) {
      const bool there = std::any_of(columns.begin(), columns.end(), [&](const ListColumn& column) { return column.heading == heading; });
      if (!there && (wanted == heading || wanted == alias)) columns.push_back({std::string(wanted), member});
    }
  }
  return columns;
}

void add_if_given(Query& query, const Args& args, std::string_view option, std::string name) {
  if (const auto value = args.get(option)) query.emplace_back(std::move(name), *value);
}

Result<Query> query_for(Api& api, const Args& args) {
  constexpr std::array<std::pair<std::string_view, const char*>, 12> kSame{{
      {"reservation-id", "reservation_id"},
      {"ip", "ip"},
      {"ip6", "ip6"},
      {"name", "name"},
      {"instance-name", "instance_name"},
      {"status", "status"},
      {"host", "host"},
      {"availability-zone", "availability_zone"},
      {"key-name", "key_name"},
      {"vm-state", "vm_state"},
      {"task-state", "task_state"},
      {"changes-before", "changes-before"},
  }};
  Query query;
  for (const auto& [option, name] : kSame) add_if_given(query, args, option, name);
  add_if_given(query, args, "changes-since", "changes-since");
  if (const auto state = args.get("power-state")) {
    const std::map<std::string, std::string> numbers{{"pending", "0"},  {"running", "1"}, {"paused", "3"},
                                                     {"shutdown", "4"}, {"crashed", "6"}, {"suspended", "7"}};
    query.emplace_back("power_state", numbers.at(*state));
  }
  if (const auto flavor = args.get("flavor")) {
    CA_TRY(const Json found, find_flavor(api, *flavor));
    query.emplace_back("flavor", text_member(found, "id"));
  }
  if (const auto image = args.get("image")) {
    CA_TRY(const Json found, find_image(api, *image));
    query.emplace_back("image", text_member(found, "id"));
  }
  if (args.has("all-projects")) query.emplace_back("all_tenants", "True");
  if (args.has("deleted")) query.emplace_back("deleted", "True");
  if (args.has("locked")) query.emplace_back("locked", "True");
  if (args.has("unlocked")) query.emplace_back("locked", "False");
  if (args.has("tags")) query.emplace_back("tags", join(args.all("tags"), ","));
  if (args.has("not-tags")) query.emplace_back("not-tags", join(args.all("not-tags"), ","));
  if (const auto marker = args.get("marker")) {
    std::string id = *marker;  // a deleted server has no name to look up
    if (!args.has("deleted")) {
      CA_TRY(id, server_id(api, *marker));
    }
    query.emplace_back("marker", id);
  }
  if (const auto limit = args.number("limit"); limit && *limit >= 0) query.emplace_back("limit", std::to_string(*limit));
  return query;
}

std::string image_id_of(const Json& server) {
  const auto image = server.find("image");
  return image != server.end() && image->is_object() ? text_member(*image, "id") : "";
}

// Names are a convenience: where they can't be had, the column stays empty.
Names image_names(Api& api, const std::vector<Json>& servers, const Args& args) {
  std::set<std::string> ids;
  for (const Json& server : servers) ids.insert(image_id_of(server));
  ids.erase("");
  Names names;
  if (ids.empty()) return names;
  if (args.has("name-lookup-one-by-one") || args.has("image")) {
    for (const std::string& id : ids) {
      if (const auto image = api.json({.service = Service::kImage, .path = "/images/" + percent_encode(id)}))
        names[id] = text_member(*image, "name");
    }
    return names;
  }
  constexpr std::string_view kKeys[] = {"id", "name"};
  if (const auto images = api.list({.service = Service::kImage, .path = "/images"}, "images", kKeys)) {
    for (const Json& image : *images) names[text_member(image, "id")] = text_member(image, "name");
  }
  return names;
}

Cell cell_for(const ListColumn& column, const Json& server, const Names& names) {
  if (column.member == "addresses") return dict_of_lists_cell(addresses_by_network(server));
  if (column.member == "flavor") return plain_cell(member_or_empty(member_or_empty(server, "flavor"), "original_name"));
  if (column.member == "metadata") return dict_cell(member_or_empty(server, "metadata"));
  if (column.member == "OS-EXT-STS:power_state") return power_state_cell(member_or_empty(server, column.member));
  if (column.member == "security_groups") {
    Json groups = Json::array();
    for (const Json& group : array_member(server, "security_groups")) groups.push_back(text_member(group, "name"));
    return list_cell(std::move(groups));
  }
  if (column.member == "<image-name>" || column.member == "<image-id>") {
    const std::string id = image_id_of(server);
    if (id.empty()) return plain_cell(kBootedFromVolume);
    if (column.member == "<image-id>") return plain_cell(id);
    const auto found = names.find(id);
    return plain_cell(found == names.end() ? "" : found->second);
  }
  return plain_cell(member_or_empty(server, column.member));
}

}  // namespace

Json addresses_by_network(const Json& server) {
  Json networks = Json::object();
  const auto addresses = server.find("addresses");
  if (addresses == server.end() || !addresses->is_object()) return networks;
  for (const auto& [name, list] : addresses->items()) {
    Json& plain = networks[name] = Json::array();
    if (!list.is_array()) continue;
    for (const Json& address : list) plain.push_back(text_member(address, "addr"));
  }
  return networks;
}

Cell power_state_cell(Json number) {
  constexpr std::array<const char*, 8> kNames{"NOSTATE", "Running", "", "Paused", "Shutdown", "", "Crashed", "Suspended"};
  const bool known = number.is_number_unsigned() || number.is_number_integer();
  const std::int64_t value = known ? number.get<std::int64_t>() : -1;
  const bool named = value >= 0 && value < static_cast<std::int64_t>(kNames.size());
  return human_cell(std::move(number), named ? kNames[static_cast<std::size_t>(value)] : "N/A");
}

Result<Output> run_server_list(Context& context, const Args& args) {
  CA_TRY(const Query query, query_for(context.api, args));
  std::vector<ListColumn> columns = columns_for(args);
  std::vector<std::string_view> keys{"id", "image.id"};
  for (const ListColumn& column : columns) keys.push_back(column.member == "flavor" ? "flavor.original_name" : column.member);
  CA_TRY(const auto servers, context.api.list({.path = "/servers/detail", .query = query}, "servers", keys));
  const bool host_status = std::any_of(servers.begin(), servers.end(), [](const Json& server) { return server.contains("host_status"); });
  if (!host_status) std::erase_if(columns, [](const ListColumn& column) { return column.member == "host_status"; });
  const bool with_names =
      std::any_of(columns.begin(), columns.end(), [](const ListColumn& column) { return column.member == "<image-name>"; });
  const Names names = with_names && !args.has("no-name-lookup") ? image_names(context.api, servers, args) : Names{};

  Listing listing;
  for (const ListColumn& column : columns) listing.columns.push_back(column.heading);
  listing.rows.reserve(servers.size());
  for (const Json& server : servers) {
    std::vector<Cell> row;
    row.reserve(columns.size());
    for (const ListColumn& column : columns) row.push_back(cell_for(column, server, names));
    listing.rows.push_back(std::move(row));
  }
  return Output(std::move(listing));
}

}  // namespace ca::ctl
