#include <algorithm>
#include <array>
#include <map>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

// The fields and names that python-openstackclient shows.
Details flavor_details(const Json& flavor, bool with_access) {
  std::map<std::string, Cell> cells;
  for (const auto& [name, value] : flavor.items()) {
    if (name == "links") continue;
    // Without swap the API says "" where a number is meant.
    const bool no_swap = name == "swap" && value.is_string() && value.get_ref<const std::string&>().empty();
    if (name == "extra_specs") {
      cells["properties"] = dict_cell(value);
    } else {
      cells[name] = plain_cell(no_swap ? Json(0) : value);
    }
  }
  if (!cells.contains("properties")) cells["properties"] = dict_cell(Json::object());
  if (!cells.contains("OS-FLV-DISABLED:disabled")) cells["OS-FLV-DISABLED:disabled"] = plain_cell(false);
  if (with_access) cells["access_project_ids"] = plain_cell(nullptr);
  Details details;
  for (auto& [name, cell] : cells) details.add(name, std::move(cell));
  return details;
}

std::string specs_path(const Json& flavor) { return "/flavors/" + percent_encode(text_member(flavor, "id")) + "/os-extra_specs"; }

Result<void> set_specs(Api& api, const Json& flavor, const Args& args) {
  CA_TRY_VOID(api.send({.method = "POST", .path = specs_path(flavor), .body = Json{{"extra_specs", object_of(args.pairs("property"))}}}));
  return {};
}

double factor_of(const Args& args) { return std::stod(args.text("rxtx-factor", "1.0")); }

Result<Output> run_flavor_create(Context& context, const Args& args) {
  Json flavor{{"name", args.text("<flavor-name>")},
              {"ram", args.number("ram").value_or(256)},
              {"vcpus", args.number("vcpus").value_or(1)},
              {"disk", args.number("disk").value_or(0)},
              {"id", nullptr},
              {"OS-FLV-EXT-DATA:ephemeral", args.number("ephemeral").value_or(0)},
              {"swap", args.number("swap").value_or(0)},
              {"rxtx_factor", factor_of(args)},
              {"os-flavor-access:is_public", !args.has("private")}};
  if (const auto id = args.get("id"); id && *id != "auto") flavor["id"] = *id;
  if (const auto description = args.get("description")) flavor["description"] = *description;
  CA_TRY(Json made, context.api.record({.method = "POST", .path = "/flavors", .body = Json{{"flavor", std::move(flavor)}}}, "flavor"));
  if (args.has("property")) {
    auto set = set_specs(context.api, made, args);
    if (!set) {
      return wrap(std::move(set).error(), "flavor " + text_member(made, "name") + " was made, but its properties could not be set",
                  "set them with computectl flavor set --property, or delete the flavor");
    }
    made["extra_specs"] = object_of(args.pairs("property"));
  }
  return Output(flavor_details(made, false));
}

Result<Output> run_flavor_list(Context& context, const Args& args) {
  Query query{{"is_public", args.has("all") ? "None" : args.has("private") ? "False" : "True"}};
  constexpr std::array<std::pair<std::string_view, const char*>, 4> kSame{
      {{"min-disk", "minDisk"}, {"min-ram", "minRam"}, {"marker", "marker"}, {"limit", "limit"}}};
  for (const auto& [option, name] : kSame) {
    if (const auto value = args.get(option)) query.emplace_back(name, *value);
  }
  CA_TRY(auto flavors, context.api.list({.path = "/flavors/detail", .query = query}, "flavors"));
  for (Json& flavor : flavors) {
    if (flavor.value("swap", Json()) == "") flavor["swap"] = 0;
  }
  std::vector<ColumnOf> columns{{"ID", "id"},
                                {"Name", "name"},
                                {"RAM", "ram"},
                                {"Disk", "disk"},
                                {"Ephemeral", "OS-FLV-EXT-DATA:ephemeral"},
                                {"VCPUs", "vcpus"},
                                {"Is Public", "os-flavor-access:is_public"}};
  if (args.has("long"))
    columns.insert(columns.end(), {{"Swap", "swap"}, {"RXTX Factor", "rxtx_factor"}, {"Properties", "extra_specs", &dict_cell}});
  return Output(listing_of(columns, flavors));
}

Result<Output> run_flavor_show(Context& context, const Args& args) {
  CA_TRY(const Json flavor, find_flavor(context.api, args.text("<flavor>")));
  return Output(flavor_details(flavor, true));
}

Result<Output> run_flavor_delete(Context& context, const Args& args) {
  return for_each_name(context, args.all("<flavor>"), "delete", "flavor", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json flavor, find_flavor(context.api, name));
    CA_TRY_VOID(context.api.send({.method = "DELETE", .path = "/flavors/" + percent_encode(text_member(flavor, "id"))}));
    return {};
  });
}

Result<void> remove_spec(Api& api, const Json& flavor, const std::string& key) {
  CA_TRY_VOID(api.send({.method = "DELETE", .path = specs_path(flavor) + "/" + percent_encode(key)}));
  return {};
}

Result<Output> run_flavor_set(Context& context, const Args& args) {
  CA_TRY(const Json flavor, find_flavor(context.api, args.text("<flavor>")));
  if (const auto description = args.get("description")) {
    CA_TRY_VOID(context.api.send({.method = "PUT",
                                  .path = "/flavors/" + percent_encode(text_member(flavor, "id")),
                                  .body = Json{{"flavor", {{"description", *description}}}}}));
  }
  if (args.has("no-property")) {
    const Json specs = flavor.value("extra_specs", Json::object());
    for (const auto& [key, value] : specs.items()) CA_TRY_VOID(remove_spec(context.api, flavor, key));
  }
  if (args.has("property")) CA_TRY_VOID(set_specs(context.api, flavor, args));
  return Output{};
}

Result<Output> run_flavor_unset(Context& context, const Args& args) {
  CA_TRY(const Json flavor, find_flavor(context.api, args.text("<flavor>")));
  for (const std::string& key : args.all("property")) CA_TRY_VOID(remove_spec(context.api, flavor, key));
  return Output{};
}

constexpr Positional kNewFlavor[] = {{.name = "<flavor-name>", .help = "New flavor name"}};
constexpr Positional kFlavor[] = {{.name = "<flavor>", .help = "Flavor (name or ID)"}};
constexpr Positional kFlavors[] = {{.name = "<flavor>", .help = "Flavor(s) (name or ID)", .many = true}};

constexpr Option kCreateOptions[] = {
    {.names = "--id", .metavar = "<id>", .help = "Unique flavor ID; auto creates a UUID (default)"},
    {.names = "--ram", .metavar = "<size-mb>", .help = "Memory size in MB (default 256M)", .type = ArgType::kInt},
    {.names = "--disk", .metavar = "<size-gb>", .help = "Disk size in GB (default 0G: as large as the image)", .type = ArgType::kInt},
    {.names = "--ephemeral", .metavar = "<size-gb>", .help = "Ephemeral disk size in GB (default 0G)", .type = ArgType::kInt},
    {.names = "--swap", .metavar = "<size-mb>", .help = "Additional swap space size in MB (default 0M)", .type = ArgType::kInt},
    {.names = "--vcpus", .metavar = "<vcpus>", .help = "Number of vcpus (default 1)", .type = ArgType::kInt},
    {.names = "--rxtx-factor", .metavar = "<factor>", .help = "RX/TX factor (default 1.0)", .type = ArgType::kFloat},
    {.names = "--public", .help = "Flavor is available to other projects (default)", .exclusive = "public"},
    {.names = "--private", .help = "Flavor is not available to other projects", .exclusive = "public"},
    {.names = "--property",
     .metavar = "<key=value>",
     .help = "Property to add for this flavor (repeat option to set multiple properties)",
     .type = ArgType::kKeyValue,
     .repeat = true},
    {.names = "--description", .metavar = "<description>", .help = "Description for the flavor"},
};
constexpr Option kListOptions[] = {
    {.names = "--public", .help = "List only public flavors (default)", .exclusive = "public"},
    {.names = "--private", .help = "List only private flavors", .exclusive = "public"},
    {.names = "--all", .help = "List all flavors, whether public or private", .exclusive = "public"},
    {.names = "--min-disk",
     .metavar = "<min-disk>",
     .help = "Filters the flavors by a minimum disk space, in GiB",
     .type = ArgType::kNotNegative},
    {.names = "--min-ram", .metavar = "<min-ram>", .help = "Filters the flavors by a minimum RAM, in MiB", .type = ArgType::kNotNegative},
    {.names = "--long", .help = "List additional fields in output"},
    {.names = "--marker", .metavar = "<flavor-id>", .help = "The last flavor ID of the previous page"},
    {.names = "--limit", .metavar = "<num-flavors>", .help = "Maximum number of flavors to display", .type = ArgType::kNotNegative},
};
constexpr Option kSetOptions[] = {
    {.names = "--no-property", .help = "Remove all properties from this flavor (with --property: before setting new ones)"},
    {.names = "--property",
     .metavar = "<key=value>",
     .help = "Property to add or modify for this flavor (repeat option to set multiple properties)",
     .type = ArgType::kKeyValue,
     .repeat = true},
    {.names = "--description", .metavar = "<description>", .help = "Set description for the flavor"},
};
constexpr Option kUnsetOptions[] = {
    {.names = "--property", .metavar = "<key>", .help = "Property to remove from flavor (repeat option for more)", .repeat = true},
};

constexpr Command kCommands[] = {
    {.name = "flavor create",
     .summary = "Create new flavor",
     .positionals = kNewFlavor,
     .options = kCreateOptions,
     .display = Display::kShow,
     .example = "computectl flavor create --vcpus 1 --ram 128 --disk 1 m1.tiny",
     .run = &run_flavor_create},
    {.name = "flavor delete",
     .summary = "Delete flavor(s)",
     .positionals = kFlavors,
     .example = "computectl flavor delete m1.tiny",
     .run = &run_flavor_delete},
    {.name = "flavor list",
     .summary = "List flavors",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl flavor list --all --long",
     .run = &run_flavor_list},
    {.name = "flavor set",
     .summary = "Set flavor properties",
     .positionals = kFlavor,
     .options = kSetOptions,
     .example = "computectl flavor set --property hw:cpu_policy=dedicated m1.tiny",
     .run = &run_flavor_set},
    {.name = "flavor show",
     .summary = "Display flavor details",
     .positionals = kFlavor,
     .display = Display::kShow,
     .example = "computectl flavor show m1.tiny",
     .run = &run_flavor_show},
    {.name = "flavor unset",
     .summary = "Unset flavor properties",
     .positionals = kFlavor,
     .options = kUnsetOptions,
     .example = "computectl flavor unset --property hw:cpu_policy m1.tiny",
     .run = &run_flavor_unset},
};

}  // namespace

std::span<const Command> flavor_commands() { return kCommands; }

}  // namespace ca::ctl
