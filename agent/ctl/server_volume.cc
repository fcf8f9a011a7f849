// server add volume, server remove volume, server volume list, server volume set

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

std::string attachments_of(const std::string& server) { return "/servers/" + percent_encode(server) + "/os-volume_attachments"; }

Result<std::string> volume_id(Api& api, const Args& args) {
  CA_TRY(const Json volume, find_volume(api, args.text("<volume>")));
  return text_member(volume, "id");
}

Result<Output> run_add(Context& context, const Args& args) {
  CA_TRY(const std::string server, server_id(context.api, args.text("<server>")));
  CA_TRY(const std::string volume, volume_id(context.api, args));
  Json attachment{{"volumeId", volume}};
  for (const char* name : {"device", "tag"}) {
    if (const auto value = args.get(name)) attachment[name] = *value;
  }
  if (args.has("enable-delete-on-termination") || args.has("disable-delete-on-termination")) {
    attachment["delete_on_termination"] = args.has("enable-delete-on-termination");
  }
  CA_TRY(const Json made,
         context.api.record({.method = "POST", .path = attachments_of(server), .body = Json{{"volumeAttachment", std::move(attachment)}}},
                            "volumeAttachment"));
  Details details;
  details.add("ID", plain_cell(member_or_empty(made, "id")));
  details.add("Server ID", plain_cell(member_or_empty(made, "serverId")));
  details.add("Volume ID", plain_cell(member_or_empty(made, "volumeId")));
  details.add("Device", plain_cell(member_or_empty(made, "device")));
  details.add("Tag", plain_cell(member_or_empty(made, "tag")));
  details.add("Delete On Termination", plain_cell(member_or_empty(made, "delete_on_termination")));
  return Output(std::move(details));
}

Result<Output> run_remove(Context& context, const Args& args) {
  CA_TRY(const std::string server, server_id(context.api, args.text("<server>")));
  CA_TRY(const std::string volume, volume_id(context.api, args));
  CA_TRY_VOID(context.api.send({.method = "DELETE", .path = attachments_of(server) + "/" + percent_encode(volume)}));
  return Output{};
}

Result<Output> run_list(Context& context, const Args& args) {
  CA_TRY(const std::string server, server_id(context.api, args.text("<server>")));
  CA_TRY(const auto attachments, context.api.list({.path = attachments_of(server)}, "volumeAttachments"));
  const std::vector<ColumnOf> columns{{"Device", "device"},
                                      {"Server ID", "serverId"},
                                      {"Volume ID", "volumeId"},
                                      {"Tag", "tag"},
                                      {"Delete On Termination?", "delete_on_termination"},
                                      {"Attachment ID", "attachment_id"},
                                      {"BlockDeviceMapping UUID", "bdm_uuid"}};
  return Output(listing_of(columns, attachments));
}

Result<Output> run_set(Context& context, const Args& args) {
  CA_TRY(const std::string server, server_id(context.api, args.text("<server>")));
  CA_TRY(const std::string volume, volume_id(context.api, args));
  if (!args.has("delete-on-termination") && !args.has("preserve-on-termination")) return Output{};
  const Json attachment{{"volumeId", volume}, {"delete_on_termination", args.has("delete-on-termination")}};
  CA_TRY_VOID(context.api.send(
      {.method = "PUT", .path = attachments_of(server) + "/" + percent_encode(volume), .body = Json{{"volumeAttachment", attachment}}}));
  return Output{};
}

constexpr Positional kServer[] = {{.name = "<server>", .help = "Server (name or ID)"}};
constexpr Positional kServerAndVolume[] = {{.name = "<server>", .help = "Server (name or ID)"},
                                           {.name = "<volume>", .help = "Volume (name or ID)"}};
constexpr Option kAddOptions[] = {
    {.names = "--device", .metavar = "<device>", .help = "Server internal device name for volume; default: the next free one"},
    {.names = "--tag", .metavar = "<tag>", .help = "Tag for the attached volume, told by the config drive"},
    {.names = "--enable-delete-on-termination", .help = "Delete the volume when the server is destroyed", .exclusive = "termination"},
    {.names = "--disable-delete-on-termination",
     .help = "Do not delete the volume when the server is destroyed (default)",
     .exclusive = "termination"},
};
constexpr Option kSetOptions[] = {
    {.names = "--delete-on-termination", .help = "Delete the volume when the server is destroyed", .exclusive = "termination"},
    {.names = "--preserve-on-termination", .help = "Preserve the volume when the server is destroyed", .exclusive = "termination"},
};

constexpr Command kCommands[] = {
    {.name = "server add volume",
     .summary = "Add volume to server",
     .positionals = kServerAndVolume,
     .options = kAddOptions,
     .display = Display::kShow,
     .example = "computectl server add volume demo1 data\ncomputectl server add volume --device /dev/vdc --tag db demo1 data",
     .run = &run_add},
    {.name = "server remove volume",
     .summary = "Remove volume from server",
     .positionals = kServerAndVolume,
     .example = "computectl server remove volume demo1 data",
     .run = &run_remove},
    {.name = "server volume list",
     .summary = "List all the volumes attached to a server",
     .positionals = kServer,
     .display = Display::kList,
     .example = "computectl server volume list demo1",
     .run = &run_list},
    {.name = "server volume set",
     .summary = "Update a volume attachment on the server",
     .positionals = kServerAndVolume,
     .options = kSetOptions,
     .example = "computectl server volume set --delete-on-termination demo1 data",
     .run = &run_set},
};

}  // namespace

std::span<const Command> server_volume_commands() { return kCommands; }

}  // namespace ca::ctl
