// Commands that put a server on another root disk: rescue, unrescue, rebuild.

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/server_internal.h"
#include "agent/ctl/text.h"
#include "agent/ctl/wait.h"

namespace ca::ctl {
namespace {

Call action_call(const std::string& id, Json action) {
  return {.method = "POST", .path = "/servers/" + percent_encode(id) + "/action", .body = std::move(action)};
}

Result<Output> run_rescue(Context& context, const Args& args) {
  CA_TRY(const std::string id, server_id(context.api, args.text("<server>")));
  Json body = Json::object();
  if (const auto image = args.get("image")) {
    CA_TRY(const Json found, find_image(context.api, *image));
    body["rescue_image_ref"] = text_member(found, "id");
  }
  if (const auto password = args.get("password")) body["adminPass"] = *password;
  CA_TRY_VOID(context.api.send(action_call(id, {{"rescue", std::move(body)}})));
  if (args.has("wait")) CA_TRY_VOID(wait_for_status(context, id, "RESCUE"));
  return Output{};
}

Result<Output> run_unrescue(Context& context, const Args& args) {
  CA_TRY(const std::string id, server_id(context.api, args.text("<server>")));
  CA_TRY_VOID(context.api.send(action_call(id, {{"unrescue", nullptr}})));
  if (args.has("wait")) CA_TRY_VOID(wait_for_any_status(context, id, {"ACTIVE", "SHUTOFF"}));
  return Output{};
}

Result<Json> rebuild_body(Context& context, const Args& args, const Json& server) {
  Json body = Json::object();
  if (const auto image = args.get("image")) {
    CA_TRY(const Json found, find_image(context.api, *image));
    body["imageRef"] = text_member(found, "id");
  } else {
    body["imageRef"] = text_member(member_or_empty(server, "image"), "id");
  }
  if (const auto name = args.get("name")) body["name"] = *name;
  if (const auto password = args.get("password")) body["adminPass"] = *password;
  if (args.has("property")) body["metadata"] = object_of(args.pairs("property"));
  if (const auto description = args.get("description")) body["description"] = *description;
  if (args.has("preserve-ephemeral")) body["preserve_ephemeral"] = true;
  if (args.has("no-preserve-ephemeral")) body["preserve_ephemeral"] = false;
  if (const auto key = args.get("key-name")) body["key_name"] = *key;
  if (args.has("no-key-name")) body["key_name"] = nullptr;
  if (const auto path = args.get("user-data")) {
    CA_TRY(body["user_data"], read_user_data(*path));
  }
  if (args.has("no-user-data")) body["user_data"] = nullptr;
  return body;
}

Result<Output> run_rebuild(Context& context, const Args& args) {
  CA_TRY(const Json before, find_server(context.api, args.text("<server>")));
  const std::string id = text_member(before, "id");
  CA_TRY(Json body, rebuild_body(context, args, before));
  CA_TRY(Json server, context.api.record(action_call(id, {{"rebuild", std::move(body)}}), "server"));
  if (args.has("wait")) {
    const Json password = server.value("adminPass", Json());
    CA_TRY(server, wait_for_any_status(context, id, {"ACTIVE", "SHUTOFF"}));
    if (password.is_string()) server["adminPass"] = password;
  }
  CA_TRY(Details details, server_details(context, std::move(server)));
  return Output(std::move(details));
}

constexpr Positional kServer[] = {{.name = "<server>", .help = "Server (name or ID)"}};

constexpr Option kRescueOptions[] = {
    {.names = "--image", .metavar = "<image>", .help = "Image (name or ID) to use for the rescue mode (default: the server's own image)"},
    {.names = "--password", .metavar = "<password>", .help = "Set the password on the rescued instance"},
    {.names = "--wait", .help = "Wait until it is done"},
};
constexpr Option kUnrescueOptions[] = {{.names = "--wait", .help = "Wait until it is done"}};
constexpr Option kRebuildOptions[] = {
    {.names = "--image", .metavar = "<image>", .help = "Recreate server from the specified image (name or ID); default: the current one"},
    {.names = "--name", .metavar = "<name>", .help = "Set the new name of the rebuilt server"},
    {.names = "--password", .metavar = "<password>", .help = "Set a password on the rebuilt server"},
    {.names = "--property",
     .metavar = "<key=value>",
     .help = "Set a new property on the rebuilt server (repeat option to set multiple values)",
     .type = ArgType::kKeyValue,
     .repeat = true},
    {.names = "--description", .metavar = "<description>", .help = "Set a new description on the rebuilt server"},
    {.names = "--preserve-ephemeral", .help = "Preserve the ephemeral disks", .exclusive = "ephemeral"},
    {.names = "--no-preserve-ephemeral", .help = "Do not preserve the ephemeral disks (default)", .exclusive = "ephemeral"},
    {.names = "--key-name", .metavar = "<key-name>", .help = "Set the key name of key pair on the rebuilt server", .exclusive = "key"},
    {.names = "--no-key-name", .help = "Unset the key name of key pair on the rebuilt server", .exclusive = "key"},
    {.names = "--user-data", .metavar = "<user-data>", .help = "Add a new user data file to the rebuilt server", .exclusive = "user-data"},
    {.names = "--no-user-data", .help = "Remove existing user data when rebuilding server", .exclusive = "user-data"},
    {.names = "--wait", .help = "Wait for rebuild to complete"},
};

constexpr Command kCommands[] = {
    {.name = "server rebuild",
     .summary = "Rebuild server",
     .description = "Its root disk is laid anew; id, addresses and volumes stay.",
     .positionals = kServer,
     .options = kRebuildOptions,
     .display = Display::kShow,
     .example = "computectl server rebuild --image demo --wait demo1",
     .run = &run_rebuild},
    {.name = "server rescue",
     .summary = "Put server in rescue mode",
     .description = "It boots from the rescue image; its own disk is the second one.",
     .positionals = kServer,
     .options = kRescueOptions,
     .example = "computectl server rescue --image demo --wait demo1",
     .run = &run_rescue},
    {.name = "server unrescue",
     .summary = "Restore server from rescue mode",
     .positionals = kServer,
     .options = kUnrescueOptions,
     .example = "computectl server unrescue --wait demo1",
     .run = &run_unrescue},
};

}  // namespace

std::span<const Command> server_rescue_commands() { return kCommands; }

}  // namespace ca::ctl
