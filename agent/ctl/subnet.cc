#include <array>
#include <map>
#include <set>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

// 10.0.0.2-10.0.0.254,10.0.1.2-10.0.1.9
Cell pools_cell(Json value) {
  std::vector<std::string> parts;
  if (value.is_array()) {
    for (const Json& pool : value) parts.push_back(text_member(pool, "start") + "-" + text_member(pool, "end"));
  }
  return human_cell(std::move(value), join(parts, ","));
}

// The API's nexthop is the option's gateway.
Cell routes_cell(Json value) {
  Json shown = Json::array();
  if (value.is_array()) {
    for (const Json& route : value)
      shown.push_back({{"destination", text_member(route, "destination")}, {"gateway", text_member(route, "nexthop")}});
  }
  return human_cell(std::move(value), *list_of_dicts_cell(std::move(shown)).human);
}

Cell field_cell(const std::string& name, const Json& value) {
  if (name == "allocation_pools") return pools_cell(value);
  if (name == "host_routes") return routes_cell(value);
  if (name == "dns_nameservers" || name == "service_types" || name == "tags") return list_cell(value);
  return plain_cell(value);
}

Details subnet_details(const Json& subnet) {
  constexpr std::array<const char*, 23> kFields{"allocation_pools",
                                                "cidr",
                                                "created_at",
                                                "description",
                                                "dns_nameservers",
                                                "dns_publish_fixed_ip",
                                                "enable_dhcp",
                                                "gateway_ip",
                                                "host_routes",
                                                "id",
                                                "ip_version",
                                                "ipv6_address_mode",
                                                "ipv6_ra_mode",
                                                "name",
                                                "network_id",
                                                "project_id",
                                                "revision_number",
                                                "segment_id",
                                                "service_types",
                                                "subnetpool_id",
                                                "tags",
                                                "updated_at",
                                                "use_default_subnet_pool"};
  std::map<std::string, Cell> cells;
  for (const char* name : kFields) cells[name] = field_cell(name, nullptr);
  for (const auto& [name, value] : subnet.items()) cells[name] = field_cell(name, value);
  cells.erase("tenant_id");
  cells.erase("use_default_subnet_pool");
  Details details;
  for (auto& [name, cell] : cells) details.add(name, std::move(cell));
  return details;
}

// "start=10.0.0.2,end=10.0.0.9" by its keys.
std::map<std::string, std::string> keys_of(const std::string& value) {
  std::map<std::string, std::string> keys;
  for (std::size_t at = 0; at <= value.size();) {
    const std::size_t comma = std::min(value.find(',', at), value.size());
    const std::string part = value.substr(at, comma - at);
    const std::size_t equals = std::min(part.find('='), part.size());
    keys[part.substr(0, equals)] = equals < part.size() ? part.substr(equals + 1) : "";
    at = comma + 1;
  }
  return keys;
}

std::string two_keys_problem(const std::string& value, const std::string& first, const std::string& second) {
  const auto keys = keys_of(value);
  const bool right =
      keys.size() == 2 && keys.contains(first) && keys.contains(second) && !keys.at(first).empty() && !keys.at(second).empty();
  return right ? "" : "Expected '" + first + "=...," + second + "=...', but got: " + value;
}

std::string pool_problem(const std::string& value) { return two_keys_problem(value, "start", "end"); }
std::string route_problem(const std::string& value) { return two_keys_problem(value, "destination", "gateway"); }

Json subnet_body(const Args& args, const std::string& network_id) {
  Json subnet{{"name", args.text("<name>")}, {"network_id", network_id}, {"ip_version", args.number("ip-version").value_or(4)}};
  if (const auto range = args.get("subnet-range")) subnet["cidr"] = *range;
  const std::string gateway = lower(args.text("gateway", "auto"));
  if (gateway != "auto") subnet["gateway_ip"] = gateway == "none" ? Json() : Json(gateway);
  if (args.has("dhcp") || args.has("no-dhcp")) subnet["enable_dhcp"] = args.has("dhcp");
  if (args.has("dns-nameserver")) subnet["dns_nameservers"] = args.all("dns-nameserver");
  if (const auto description = args.get("description")) subnet["description"] = *description;
  for (const std::string& pool : args.all("allocation-pool")) subnet["allocation_pools"].push_back(keys_of(pool));
  for (const std::string& route : args.all("host-route")) {
    const auto keys = keys_of(route);
    subnet["host_routes"].push_back({{"destination", keys.at("destination")}, {"nexthop", keys.at("gateway")}});
  }
  return Json{{"subnet", std::move(subnet)}};
}

Result<Output> run_subnet_create(Context& context, const Args& args) {
  CA_TRY(const Json network, find_network(context.api, args.text("network")));
  CA_TRY(const Json made,
         context.api.record(
             {.method = "POST", .service = Service::kNetwork, .path = "/subnets", .body = subnet_body(args, text_member(network, "id"))},
             "subnet"));
  return Output(subnet_details(made));
}

Result<Output> run_subnet_list(Context& context, const Args& args) {
  Query query;
  constexpr std::array<std::pair<std::string_view, const char*>, 4> kTexts{
      {{"ip-version", "ip_version"}, {"gateway", "gateway_ip"}, {"name", "name"}, {"subnet-range", "cidr"}}};
  for (const auto& [option, name] : kTexts) {
    if (const auto value = args.get(option)) query.emplace_back(name, *value);
  }
  if (args.has("dhcp") || args.has("no-dhcp")) query.emplace_back("enable_dhcp", args.has("dhcp") ? "True" : "False");
  if (const auto network = args.get("network")) {
    CA_TRY(const Json found, find_network(context.api, *network));
    query.emplace_back("network_id", text_member(found, "id"));
  }
  CA_TRY(const auto subnets, context.api.list({.service = Service::kNetwork, .path = "/subnets", .query = query}, "subnets"));
  std::vector<ColumnOf> columns{{"ID", "id"}, {"Name", "name"}, {"Network", "network_id"}, {"Subnet", "cidr"}};
  if (args.has("long")) {
    columns.insert(columns.end(), {{"Project", "project_id"},
                                   {"DHCP", "enable_dhcp"},
                                   {"Name Servers", "dns_nameservers", &list_cell},
                                   {"Allocation Pools", "allocation_pools", &pools_cell},
                                   {"Host Routes", "host_routes", &routes_cell},
                                   {"IP Version", "ip_version"},
                                   {"Gateway", "gateway_ip"},
                                   {"Service Types", "service_types", &list_cell},
                                   {"Tags", "tags", &list_cell}});
  }
  return Output(listing_of(columns, subnets));
}

Result<Output> run_subnet_show(Context& context, const Args& args) {
  CA_TRY(const Json subnet, find_subnet(context.api, args.text("<subnet>")));
  return Output(subnet_details(subnet));
}

Result<Output> run_subnet_delete(Context& context, const Args& args) {
  return for_each_name(context, args.all("<subnet>"), "delete", "subnet", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json subnet, find_subnet(context.api, name));
    CA_TRY_VOID(context.api.send(
        {.method = "DELETE", .service = Service::kNetwork, .path = "/subnets/" + percent_encode(text_member(subnet, "id"))}));
    return {};
  });
}

constexpr Positional kNewSubnet[] = {{.name = "<name>", .help = "New subnet name"}};
constexpr Positional kSubnet[] = {{.name = "<subnet>", .help = "Subnet (name or ID)"}};
constexpr Positional kSubnets[] = {{.name = "<subnet>", .help = "Subnet(s) (name or ID)", .many = true}};

constexpr Option kCreateOptions[] = {
    {.names = "--network", .metavar = "<network>", .help = "Network this subnet belongs to (name or ID)", .required = true},
    {.names = "--subnet-range", .metavar = "<subnet-range>", .help = "Subnet range in CIDR notation", .required = true},
    {.names = "--gateway",
     .metavar = "<gateway>",
     .help = "Gateway of the subnet: an address, auto (default: the first of the range) or none"},
    {.names = "--dhcp", .help = "Enable DHCP (default)", .exclusive = "dhcp"},
    {.names = "--no-dhcp", .help = "Disable DHCP", .exclusive = "dhcp"},
    {.names = "--allocation-pool",
     .metavar = "start=<ip-address>,end=<ip-address>",
     .help = "Addresses to give to servers (repeat option for more); default: all but the gateway",
     .repeat = true,
     .check = &pool_problem},
    {.names = "--dns-nameserver",
     .metavar = "<dns-nameserver>",
     .help = "DNS server for this subnet (repeat option for more)",
     .repeat = true},
    {.names = "--host-route",
     .metavar = "destination=<subnet>,gateway=<ip-address>",
     .help = "Additional route for this subnet (repeat option for more)",
     .repeat = true,
     .check = &route_problem},
    {.names = "--ip-version", .metavar = "<ip-version>", .help = "IP version; default 4", .choices = "4 6"},
    {.names = "--description", .metavar = "<description>", .help = "Set subnet description"},
};
constexpr Option kListOptions[] = {
    {.names = "--long", .help = "List additional fields in output"},
    {.names = "--ip-version", .metavar = "<ip-version>", .help = "List only subnets of this IP version", .choices = "4 6"},
    {.names = "--dhcp", .help = "List subnets which have DHCP enabled", .exclusive = "dhcp"},
    {.names = "--no-dhcp", .help = "List subnets which have DHCP disabled", .exclusive = "dhcp"},
    {.names = "--network", .metavar = "<network>", .help = "List only subnets of this network (name or ID)"},
    {.names = "--gateway", .metavar = "<gateway>", .help = "List only subnets of this gateway IP"},
    {.names = "--name", .metavar = "<name>", .help = "List only subnets of this name"},
    {.names = "--subnet-range", .metavar = "<subnet-range>", .help = "List only subnets of this range in CIDR notation"},
};

constexpr Command kCommands[] = {
    {.name = "subnet create",
     .summary = "Create a subnet",
     .positionals = kNewSubnet,
     .options = kCreateOptions,
     .display = Display::kShow,
     .example = "computectl subnet create --network net1 --subnet-range 10.10.0.0/24 --dns-nameserver 10.10.0.1 sub1",
     .run = &run_subnet_create},
    {.name = "subnet delete",
     .summary = "Delete subnet(s)",
     .positionals = kSubnets,
     .example = "computectl subnet delete sub1",
     .run = &run_subnet_delete},
    {.name = "subnet list",
     .summary = "List subnets",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl subnet list --network net1 --long",
     .run = &run_subnet_list},
    {.name = "subnet show",
     .summary = "Display subnet details",
     .positionals = kSubnet,
     .display = Display::kShow,
     .example = "computectl subnet show sub1",
     .run = &run_subnet_show},
};

}  // namespace

std::span<const Command> subnet_commands() { return kCommands; }

}  // namespace ca::ctl
