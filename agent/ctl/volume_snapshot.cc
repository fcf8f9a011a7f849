#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

Details snapshot_details(const Json& snapshot) {
  Details details;
  for (const auto& [name, value] : snapshot.items()) {
    details.add(name == "metadata" ? "properties" : name, name == "metadata" ? dict_cell(value) : plain_cell(value));
  }
  return details;
}

std::string path_to(const Json& snapshot) { return "/snapshots/" + percent_encode(text_member(snapshot, "id")); }

Result<Output> run_create(Context& context, const Args& args) {
  CA_TRY(const Json volume, find_volume(context.api, args.text("volume", args.text("<snapshot-name>"))));
  Json snapshot{{"volume_id", text_member(volume, "id")}, {"name", args.text("<snapshot-name>")}, {"force", args.has("force")}};
  if (const auto description = args.get("description")) snapshot["description"] = *description;
  if (args.has("property")) snapshot["metadata"] = object_of(args.pairs("property"));
  CA_TRY(const Json made,
         context.api.record(
             {.method = "POST", .service = Service::kVolume, .path = "/snapshots", .body = Json{{"snapshot", std::move(snapshot)}}},
             "snapshot"));
  return Output(snapshot_details(made));
}

Result<Output> run_delete(Context& context, const Args& args) {
  return for_each_name(context, args.all("<snapshot>"), "delete", "snapshot", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json snapshot, find_volume_snapshot(context.api, name));
    CA_TRY_VOID(context.api.send({.method = "DELETE", .service = Service::kVolume, .path = path_to(snapshot)}));
    return {};
  });
}

Result<Output> run_list(Context& context, const Args& args) {
  Query query;
  for (const char* name : {"name", "status"}) {
    if (const auto value = args.get(name)) query.emplace_back(name, *value);
  }
  if (const auto volume = args.get("volume")) {
    CA_TRY(const Json found, find_volume(context.api, *volume));
    query.emplace_back("volume_id", text_member(found, "id"));
  }
  CA_TRY(const auto snapshots, context.api.list({.service = Service::kVolume, .path = "/snapshots/detail", .query = query}, "snapshots"));
  std::vector<ColumnOf> columns{{"ID", "id"}, {"Name", "name"}, {"Description", "description"}, {"Status", "status"}, {"Size", "size"}};
  if (args.has("long"))
    columns.insert(columns.end(), {{"Created At", "created_at"}, {"Volume", "volume_id"}, {"Properties", "metadata", &dict_cell}});
  return Output(listing_of(columns, snapshots));
}

Result<Output> run_show(Context& context, const Args& args) {
  CA_TRY(const Json snapshot, find_volume_snapshot(context.api, args.text("<snapshot>")));
  return Output(snapshot_details(snapshot));
}

Result<Output> run_set(Context& context, const Args& args) {
  CA_TRY(const Json snapshot, find_volume_snapshot(context.api, args.text("<snapshot>")));
  Json changes = Json::object();
  for (const char* name : {"name", "description"}) {
    if (const auto value = args.get(name)) changes[name] = *value;
  }
  if (args.has("property")) {
    changes["metadata"] = member_or_empty(snapshot, "metadata");
    for (const auto& [key, value] : args.pairs("property")) changes["metadata"][key] = value;
  }
  CA_TRY_VOID(context.api.send(
      {.method = "PUT", .service = Service::kVolume, .path = path_to(snapshot), .body = Json{{"snapshot", std::move(changes)}}}));
  return Output{};
}

constexpr Positional kNewSnapshot[] = {{.name = "<snapshot-name>", .help = "Name of the new snapshot"}};
constexpr Positional kSnapshot[] = {{.name = "<snapshot>", .help = "Snapshot (name or ID)"}};
constexpr Positional kSnapshots[] = {{.name = "<snapshot>", .help = "Snapshot(s) (name or ID)", .many = true}};

constexpr Option kProperty{.names = "--property",
                           .metavar = "<key=value>",
                           .help = "Set a property on this snapshot (repeat option to set multiple properties)",
                           .type = ArgType::kKeyValue,
                           .repeat = true};

constexpr Option kCreateOptions[] = {
    {.names = "--volume", .metavar = "<volume>", .help = "Volume to snapshot (name or ID) (default is <snapshot-name>)"},
    {.names = "--description", .metavar = "<description>", .help = "Description of the snapshot"},
    {.names = "--force", .help = "Create a snapshot of an attached volume, as it is at one moment"},
    kProperty,
};
constexpr Option kListOptions[] = {
    {.names = "--name", .metavar = "<name>", .help = "Filters results by a name"},
    {.names = "--status",
     .metavar = "<status>",
     .help = "Filters results by a status",
     .choices = "available error creating deleting error_deleting"},
    {.names = "--volume", .metavar = "<volume>", .help = "Filters results by a volume (name or ID)"},
    {.names = "--long", .help = "List additional fields in output"},
};
constexpr Option kSetOptions[] = {
    {.names = "--name", .metavar = "<name>", .help = "New snapshot name"},
    {.names = "--description", .metavar = "<description>", .help = "New snapshot description"},
    kProperty,
};

constexpr Command kCommands[] = {
    {.name = "volume snapshot create",
     .summary = "Create new volume snapshot",
     .positionals = kNewSnapshot,
     .options = kCreateOptions,
     .display = Display::kShow,
     .example = "computectl volume snapshot create --volume data --force before-upgrade",
     .run = &run_create},
    {.name = "volume snapshot delete",
     .summary = "Delete volume snapshot(s)",
     .positionals = kSnapshots,
     .example = "computectl volume snapshot delete before-upgrade",
     .run = &run_delete},
    {.name = "volume snapshot list",
     .summary = "List volume snapshots",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl volume snapshot list --volume data",
     .run = &run_list},
    {.name = "volume snapshot set",
     .summary = "Set volume snapshot properties",
     .positionals = kSnapshot,
     .options = kSetOptions,
     .example = "computectl volume snapshot set --name first before-upgrade",
     .run = &run_set},
    {.name = "volume snapshot show",
     .summary = "Display volume snapshot details",
     .positionals = kSnapshot,
     .display = Display::kShow,
     .example = "computectl volume snapshot show before-upgrade",
     .run = &run_show},
};

}  // namespace

std::span<const Command> volume_snapshot_commands() { return kCommands; }

}  // namespace ca::ctl
