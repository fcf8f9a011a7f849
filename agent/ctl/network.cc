#include <array>
#include <map>
#include <set>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

Cell admin_state_cell(Json value) {
  const bool up = value.is_boolean() && value.get<bool>();
  return human_cell(std::move(value), up ? "UP" : "DOWN");
}

Cell external_cell(Json value) {
  const bool external = value.is_boolean() && value.get<bool>();
  return human_cell(std::move(value), external ? "External" : "Internal");
}

// What python-openstackclient shows, also where the agent's answer does not have it.
constexpr std::array<const char*, 26> kFields{"admin_state_up",
                                              "availability_zone_hints",
                                              "availability_zones",
                                              "created_at",
                                              "description",
                                              "dns_domain",
                                              "id",
                                              "ipv4_address_scope",
                                              "ipv6_address_scope",
                                              "is_default",
                                              "is_vlan_transparent",
                                              "mtu",
                                              "name",
                                              "port_security_enabled",
                                              "project_id",
                                              "provider:network_type",
                                              "provider:physical_network",
                                              "provider:segmentation_id",
                                              "qos_policy_id",
                                              "revision_number",
                                              "router:external",
                                              "segments",
                                              "shared",
                                              "status",
                                              "subnets",
                                              "tags"};

Details network_details(const Json& network) {
  const std::set<std::string> lists{"availability_zone_hints", "availability_zones", "subnets", "tags"};
  std::map<std::string, Cell> cells;
  for (const char* name : kFields) cells[name] = lists.contains(name) ? list_cell(Json::array()) : plain_cell(nullptr);
  for (const auto& [name, value] : network.items()) {
    if (name == "tenant_id") continue;
    if (name == "admin_state_up") {
      cells[name] = admin_state_cell(value);
    } else if (name == "router:external") {
      cells[name] = external_cell(value);
    } else {
      cells[name] = lists.contains(name) ? list_cell(value) : plain_cell(value);
    }
  }
  Details details;
  for (auto& [name, cell] : cells) details.add(name, std::move(cell));
  return details;
}

// "true" or "false" when one option of the pair was given.
std::optional<bool> either(const Args& args, std::string_view yes, std::string_view no) {
  if (args.has(yes)) return true;
  if (args.has(no)) return false;
  return std::nullopt;
}

Result<Output> run_network_create(Context& context, const Args& args) {
  Json network{{"name", args.text("<name>")}, {"admin_state_up", !args.has("disable")}};
  constexpr std::array<std::pair<std::string_view, const char*>, 4> kTexts{{{"description", "description"},
                                                                            {"provider-network-type", "provider:network_type"},
                                                                            {"provider-physical-network", "provider:physical_network"},
                                                                            {"dns-domain", "dns_domain"}}};
  for (const auto& [option, member] : kTexts) {
    if (const auto value = args.get(option)) network[member] = *value;
  }
  if (const auto mtu = args.number("mtu")) network["mtu"] = *mtu;
  if (const auto segment = args.number("provider-segment")) network["provider:segmentation_id"] = *segment;
  if (const auto shared = either(args, "share", "no-share")) network["shared"] = *shared;
  if (const auto external = either(args, "external", "internal")) network["router:external"] = *external;
  CA_TRY(
      const Json made,
      context.api.record(
          {.method = "POST", .service = Service::kNetwork, .path = "/networks", .body = Json{{"network", std::move(network)}}}, "network"));
  return Output(network_details(made));
}

Result<Output> run_network_list(Context& context, const Args& args) {
  Query query;
  constexpr std::array<std::pair<std::string_view, const char*>, 4> kTexts{{{"name", "name"},
                                                                            {"status", "status"},
                                                                            {"provider-network-type", "provider:network_type"},
                                                                            {"provider-physical-network", "provider:physical_network"}}};
  for (const auto& [option, name] : kTexts) {
    if (const auto value = args.get(option)) query.emplace_back(name, *value);
  }
  const auto add_either = [&](std::string_view yes, std::string_view no, const char* name) {
    if (const auto value = either(args, yes, no)) query.emplace_back(name, *value ? "True" : "False");
  };
  add_either("external", "internal", "router:external");
  add_either("enable", "disable", "admin_state_up");
  add_either("share", "no-share", "shared");
  CA_TRY(const auto networks, context.api.list({.service = Service::kNetwork, .path = "/networks", .query = query}, "networks"));
  std::vector<ColumnOf> columns{{"ID", "id"}, {"Name", "name"}};
  if (args.has("long")) {
    columns.insert(columns.end(),
                   {{"Status", "status"}, {"Project", "project_id"}, {"State", "admin_state_up", &admin_state_cell}, {"Shared", "shared"}});
  }
  columns.push_back({"Subnets", "subnets", &list_cell});
  if (args.has("long")) {
    columns.insert(columns.end(), {{"Network Type", "provider:network_type"},
                                   {"Router Type", "router:external", &external_cell},
                                   {"Availability Zones", "availability_zones", &list_cell},
                                   {"Tags", "tags", &list_cell}});
  }
  return Output(listing_of(columns, networks));
}

Result<Output> run_network_show(Context& context, const Args& args) {
  CA_TRY(const Json network, find_network(context.api, args.text("<network>")));
  return Output(network_details(network));
}

Result<Output> run_network_delete(Context& context, const Args& args) {
  return for_each_name(context, args.all("<network>"), "delete", "network", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json network, find_network(context.api, name));
    CA_TRY_VOID(context.api.send(
        {.method = "DELETE", .service = Service::kNetwork, .path = "/networks/" + percent_encode(text_member(network, "id"))}));
    return {};
  });
}

constexpr Positional kNewNetwork[] = {{.name = "<name>", .help = "New network name"}};
constexpr Positional kNetwork[] = {{.name = "<network>", .help = "Network (name or ID)"}};
constexpr Positional kNetworks[] = {{.name = "<network>", .help = "Network(s) (name or ID)", .many = true}};

constexpr Option kCreateOptions[] = {
    {.names = "--provider-network-type",
     .metavar = "<provider-network-type>",
     .help = "How the network is made. nat (default): a bridge of its own with address translation to the outside; isolated: a bridge of "
             "its own "
             "without a way out; bridge: the host's bridge named by --provider-physical-network"},
    {.names = "--provider-physical-network", .metavar = "<provider-physical-network>", .help = "Bridge of the host that the network uses"},
    {.names = "--provider-segment", .metavar = "<provider-segment>", .help = "VLAN ID for VLAN networks", .type = ArgType::kNotNegative},
    {.names = "--share", .help = "Share the network between projects", .exclusive = "share"},
    {.names = "--no-share", .help = "Do not share the network between projects", .exclusive = "share"},
    {.names = "--enable", .help = "Enable network (default)", .exclusive = "enable"},
    {.names = "--disable", .help = "Disable network", .exclusive = "enable"},
    {.names = "--external", .help = "Set this network as an external network", .exclusive = "external"},
    {.names = "--internal", .help = "Set this network as an internal network (default)", .exclusive = "external"},
    {.names = "--description", .metavar = "<description>", .help = "Set network description"},
    {.names = "--mtu", .metavar = "<mtu>", .help = "Set network mtu", .type = ArgType::kNotNegative},
    {.names = "--dns-domain", .metavar = "<dns-domain>", .help = "Set DNS domain for this network"},
};
constexpr Option kListOptions[] = {
    {.names = "--external", .help = "List external networks", .exclusive = "external"},
    {.names = "--internal", .help = "List internal networks", .exclusive = "external"},
    {.names = "--long", .help = "List additional fields in output"},
    {.names = "--name", .metavar = "<name>", .help = "List networks according to their name"},
    {.names = "--enable", .help = "List enabled networks", .exclusive = "enable"},
    {.names = "--disable", .help = "List disabled networks", .exclusive = "enable"},
    {.names = "--share", .help = "List networks shared between projects", .exclusive = "share"},
    {.names = "--no-share", .help = "List networks not shared between projects", .exclusive = "share"},
    {.names = "--status", .metavar = "<status>", .help = "List networks according to their status", .choices = "ACTIVE BUILD DOWN ERROR"},
    {.names = "--provider-network-type",
     .metavar = "<provider-network-type>",
     .help = "List networks according to how they are made: nat, isolated, bridge"},
    {.names = "--provider-physical-network",
     .metavar = "<provider-physical-network>",
     .help = "List networks according to the host's bridge they use"},
};

constexpr Command kCommands[] = {
    {.name = "network create",
     .summary = "Create new network",
     .positionals = kNewNetwork,
     .options = kCreateOptions,
     .display = Display::kShow,
     .example =
         "computectl network create net1\ncomputectl network create --provider-network-type bridge --provider-physical-network br0 lan",
     .run = &run_network_create},
    {.name = "network delete",
     .summary = "Delete network(s)",
     .positionals = kNetworks,
     .example = "computectl network delete net1",
     .run = &run_network_delete},
    {.name = "network list",
     .summary = "List networks",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl network list --long",
     .run = &run_network_list},
    {.name = "network show",
     .summary = "Show network details",
     .positionals = kNetwork,
     .display = Display::kShow,
     .example = "computectl network show net1",
     .run = &run_network_show},
};

}  // namespace

std::span<const Command> network_commands() { return kCommands; }

}  // namespace ca::ctl
