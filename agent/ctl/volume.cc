#include <array>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

// One dictionary a line, as the client prints attachments of a volume.
Cell attached_cell(Json attachments) {
  std::vector<std::string> lines;
  for (const Json& one : attachments.is_array() ? attachments : Json::array()) {
    lines.push_back("Attached to " + text_member(one, "server_id") + " on " + text_member(one, "device"));
  }
  return human_cell(std::move(attachments), join(lines, "\n"));
}

Details volume_details(const Json& volume) {
  Details details;
  for (const auto& [name, value] : volume.items()) {
    if (name == "links") continue;
    const bool dict = name == "metadata" || name == "volume_image_metadata";
    const std::string field = name == "metadata" ? "properties" : name == "volume_type" ? "type" : name;
    details.add(field, dict ? dict_cell(value) : name == "attachments" ? list_of_dicts_cell(value) : plain_cell(value));
  }
  return details;
}

std::string path_to(const Json& volume, std::string_view rest = {}) {
  return "/volumes/" + percent_encode(text_member(volume, "id")) + std::string(rest);
}

Result<void> act(Api& api, const Json& volume, Json action) {
  CA_TRY_VOID(api.send({.method = "POST", .service = Service::kVolume, .path = path_to(volume, "/action"), .body = std::move(action)}));
  return {};
}

Result<void> set_flags(Api& api, const Json& volume, const Args& args) {
  if (args.has("bootable") || args.has("non-bootable")) {
    CA_TRY_VOID(act(api, volume, {{"os-set_bootable", {{"bootable", args.has("bootable")}}}}));
  }
  if (args.has("read-only") || args.has("read-write")) {
    CA_TRY_VOID(act(api, volume, {{"os-update_readonly_flag", {{"readonly", args.has("read-only")}}}}));
  }
  return {};
}

Result<Json> sources_of(Api& api, const Args& args) {
  Json volume = Json::object();
  if (const auto image = args.get("image")) {
    CA_TRY(const Json found, find_image(api, *image));
    volume["imageRef"] = text_member(found, "id");
  }
  if (const auto snapshot = args.get("snapshot")) {
    CA_TRY(const Json found, find_volume_snapshot(api, *snapshot));
    volume["snapshot_id"] = text_member(found, "id");
  }
  if (const auto source = args.get("source")) {
    CA_TRY(const Json found, find_volume(api, *source));
    volume["source_volid"] = text_member(found, "id");
  }
  return volume;
}

Result<Output> run_volume_create(Context& context, const Args& args) {
  CA_TRY(Json volume, sources_of(context.api, args));
  volume["name"] = args.text("<name>");
  constexpr std::array<std::pair<std::string_view, const char*>, 3> kTexts{
      {{"description", "description"}, {"type", "volume_type"}, {"availability-zone", "availability_zone"}}};
  for (const auto& [option, member] : kTexts) {
    if (const auto value = args.get(option)) volume[member] = *value;
  }
  if (const auto size = args.number("size")) volume["size"] = *size;
  if (args.has("multi-attach")) volume["multiattach"] = true;
  if (args.has("property")) volume["metadata"] = object_of(args.pairs("property"));
  CA_TRY(const Json made,
         context.api.record(
             {.method = "POST", .service = Service::kVolume, .path = "/volumes", .body = Json{{"volume", std::move(volume)}}}, "volume"));
  CA_TRY_VOID(set_flags(context.api, made, args));
  return Output(volume_details(made));
}

Result<Output> run_volume_delete(Context& context, const Args& args) {
  return for_each_name(context, args.all("<volume>"), "delete", "volume", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json volume, find_volume(context.api, name));
    if (args.has("force")) return act(context.api, volume, {{"os-force_delete", nullptr}});
    CA_TRY_VOID(context.api.send({.method = "DELETE", .service = Service::kVolume, .path = path_to(volume)}));
    return {};
  });
}

Result<Output> run_volume_list(Context& context, const Args& args) {
  Query query;
  for (const char* name : {"name", "status"}) {
    if (const auto value = args.get(name)) query.emplace_back(name, *value);
  }
  CA_TRY(const auto volumes, context.api.list({.service = Service::kVolume, .path = "/volumes/detail", .query = query}, "volumes"));
  std::vector<ColumnOf> columns{{"ID", "id"}, {"Name", "name"}, {"Status", "status"}, {"Size", "size"}};
  if (args.has("long")) {
    columns.insert(columns.end(), {{"Type", "volume_type"}, {"Bootable", "bootable"}});
  }
  columns.push_back({"Attached to", "attachments", &attached_cell});
  if (args.has("long")) columns.push_back({"Properties", "metadata", &dict_cell});
  return Output(listing_of(columns, volumes));
}

Result<Output> run_volume_show(Context& context, const Args& args) {
  CA_TRY(const Json volume, find_volume(context.api, args.text("<volume>")));
  return Output(volume_details(volume));
}

Result<Output> run_volume_set(Context& context, const Args& args) {
  CA_TRY(const Json volume, find_volume(context.api, args.text("<volume>")));
  Json changes = Json::object();
  for (const char* name : {"name", "description"}) {
    if (const auto value = args.get(name)) changes[name] = *value;
  }
  if (!changes.empty()) {
    CA_TRY_VOID(context.api.send(
        {.method = "PUT", .service = Service::kVolume, .path = path_to(volume), .body = Json{{"volume", std::move(changes)}}}));
  }
  if (args.has("property")) {
    CA_TRY_VOID(context.api.send({.method = "POST",
                                  .service = Service::kVolume,
                                  .path = path_to(volume, "/metadata"),
                                  .body = Json{{"metadata", object_of(args.pairs("property"))}}}));
  }
  CA_TRY_VOID(set_flags(context.api, volume, args));
  if (const auto state = args.get("state")) CA_TRY_VOID(act(context.api, volume, {{"os-reset_status", {{"status", *state}}}}));
  if (const auto size = args.number("size")) CA_TRY_VOID(act(context.api, volume, {{"os-extend", {{"new_size", *size}}}}));
  return Output{};
}

Result<Output> run_volume_unset(Context& context, const Args& args) {
  CA_TRY(const Json volume, find_volume(context.api, args.text("<volume>")));
  for (const std::string& key : args.all("property")) {
    CA_TRY_VOID(
        context.api.send({.method = "DELETE", .service = Service::kVolume, .path = path_to(volume, "/metadata/") + percent_encode(key)}));
  }
  return Output{};
}

constexpr Positional kNewVolume[] = {{.name = "<name>", .help = "Volume name"}};
constexpr Positional kVolume[] = {{.name = "<volume>", .help = "Volume (name or ID)"}};
constexpr Positional kVolumes[] = {{.name = "<volume>", .help = "Volume(s) (name or ID)", .many = true}};

constexpr Option kProperty{.names = "--property",
                           .metavar = "<key=value>",
                           .help = "Set a property on this volume (repeat option to set multiple properties)",
                           .type = ArgType::kKeyValue,
                           .repeat = true};
constexpr Option kBootable{.names = "--bootable", .help = "Mark volume as bootable", .exclusive = "bootable"};
constexpr Option kNonBootable{.names = "--non-bootable", .help = "Mark volume as non-bootable", .exclusive = "bootable"};
constexpr Option kReadOnly{.names = "--read-only", .help = "Set volume to read-only access mode", .exclusive = "access"};
constexpr Option kReadWrite{.names = "--read-write", .help = "Set volume to read-write access mode", .exclusive = "access"};

constexpr Option kCreateOptions[] = {
    {.names = "--size",
     .metavar = "<size>",
     .help = "Volume size in GB (required unless --snapshot or --source is specified)",
     .type = ArgType::kNotNegative},
    {.names = "--type", .metavar = "<volume-type>", .help = "Set the type of volume"},
    {.names = "--image", .metavar = "<image>", .help = "Use <image> as source of volume (name or ID)", .exclusive = "source"},
    {.names = "--snapshot", .metavar = "<snapshot>", .help = "Use <snapshot> as source of volume (name or ID)", .exclusive = "source"},
    {.names = "--source", .metavar = "<volume>", .help = "Volume to clone (name or ID)", .exclusive = "source"},
    {.names = "--description", .metavar = "<description>", .help = "Volume description"},
    {.names = "--availability-zone", .metavar = "<availability-zone>", .help = "Create volume in <availability-zone>"},
    kProperty,
    {.names = "--multi-attach", .help = "Allow volume to be attached more than once"},
    kBootable,
    kNonBootable,
    kReadOnly,
    kReadWrite,
};
constexpr Option kDeleteOptions[] = {{.names = "--force", .help = "Attempt forced removal of volume(s), regardless of a failed state"}};
constexpr Option kListOptions[] = {
    {.names = "--name", .metavar = "<name>", .help = "Filter results by volume name"},
    {.names = "--status", .metavar = "<status>", .help = "Filter results by status"},
    {.names = "--long", .help = "List additional fields in output"},
};
constexpr Option kSetOptions[] = {
    {.names = "--name", .metavar = "<name>", .help = "New volume name"},
    {.names = "--size", .metavar = "<size>", .help = "Extend volume size in GB; a running guest is told", .type = ArgType::kNotNegative},
    {.names = "--description", .metavar = "<description>", .help = "New volume description"},
    kProperty,
    {.names = "--state",
     .metavar = "<state>",
     .help = "New volume state, for a volume whose work failed",
     .choices = "available error in-use"},
    kBootable,
    kNonBootable,
    kReadOnly,
    kReadWrite,
};
constexpr Option kUnsetOptions[] = {
    {.names = "--property", .metavar = "<key>", .help = "Remove a property from volume (repeat option for more)", .repeat = true}};

constexpr Command kCommands[] = {
    {.name = "volume create",
     .summary = "Create new volume",
     .positionals = kNewVolume,
     .options = kCreateOptions,
     .display = Display::kShow,
     .example = "computectl volume create --size 10 data\ncomputectl volume create --size 10 --image demo root1",
     .run = &run_volume_create},
    {.name = "volume delete",
     .summary = "Delete volume(s)",
     .positionals = kVolumes,
     .options = kDeleteOptions,
     .example = "computectl volume delete data",
     .run = &run_volume_delete},
    {.name = "volume list",
     .summary = "List volumes",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl volume list --long",
     .run = &run_volume_list},
    {.name = "volume set",
     .summary = "Set volume properties",
     .positionals = kVolume,
     .options = kSetOptions,
     .example = "computectl volume set --size 20 data",
     .run = &run_volume_set},
    {.name = "volume show",
     .summary = "Display volume details",
     .positionals = kVolume,
     .display = Display::kShow,
     .example = "computectl volume show data",
     .run = &run_volume_show},
    {.name = "volume unset",
     .summary = "Unset volume properties",
     .positionals = kVolume,
     .options = kUnsetOptions,
     .example = "computectl volume unset --property purpose data",
     .run = &run_volume_unset},
};

}  // namespace

std::span<const Command> volume_commands() { return kCommands; }

}  // namespace ca::ctl
