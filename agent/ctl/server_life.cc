// The server commands of an instance's life beyond start and stop.

#include <ostream>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/server_internal.h"
#include "agent/ctl/text.h"
#include "agent/ctl/wait.h"

namespace ca::ctl {
namespace {

std::string path_of(const std::string& id) { return "/servers/" + percent_encode(id); }

Result<void> act(Context& context, const std::string& id, Json action) {
  CA_TRY_VOID(context.api.send({.method = "POST", .path = path_of(id) + "/action", .body = std::move(action)}));
  return {};
}

// One action for each server; with --wait until `wanted` is reached.
Result<Output> act_on_each(Context& context, const Args& args, std::string_view verb, const Json& action, const std::string& wanted) {
  return for_each_name(context, args.all("<server>"), verb, "server", [&](const std::string& name) -> Result<void> {
    CA_TRY(const std::string id, server_id(context.api, name));
    CA_TRY_VOID(act(context, id, action));
    if (wanted.empty() || !args.has("wait")) return {};
    CA_TRY_VOID(wait_for_status(context, id, wanted));
    return {};
  });
}

Result<Output> run_pause(Context& c, const Args& a) { return act_on_each(c, a, "pause", {{"pause", nullptr}}, "PAUSED"); }
Result<Output> run_unpause(Context& c, const Args& a) { return act_on_each(c, a, "unpause", {{"unpause", nullptr}}, "ACTIVE"); }
Result<Output> run_suspend(Context& c, const Args& a) { return act_on_each(c, a, "suspend", {{"suspend", nullptr}}, "SUSPENDED"); }
Result<Output> run_resume(Context& c, const Args& a) { return act_on_each(c, a, "resume", {{"resume", nullptr}}, "ACTIVE"); }
Result<Output> run_unlock(Context& c, const Args& a) { return act_on_each(c, a, "unlock", {{"unlock", nullptr}}, ""); }
Result<Output> run_dump_create(Context& c, const Args& a) { return act_on_each(c, a, "dump", {{"trigger_crash_dump", nullptr}}, ""); }

Result<Output> run_lock(Context& context, const Args& args) {
  Json lock;
  if (const auto reason = args.get("reason")) lock = {{"locked_reason", *reason}};
  return act_on_each(context, args, "lock", {{"lock", lock}}, "");
}

Result<Output> run_restore(Context& context, const Args& args) {
  return for_each_name(context, args.all("<server>"), "restore", "server", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json server, find_server_or_deleted(context.api, name));
    const std::string id = text_member(server, "id");
    CA_TRY_VOID(act(context, id, {{"restore", nullptr}}));
    if (!args.has("wait")) return {};
    CA_TRY_VOID(wait_for_status(context, id, "ACTIVE"));
    return {};
  });
}

// --- resize

Result<Output> act_on_one(Context& context, const Args& args, const Json& action, const std::vector<std::string>& wanted) {
  CA_TRY(const std::string id, server_id(context.api, args.text("<server>")));
  CA_TRY_VOID(act(context, id, action));
  if (!args.has("wait")) return Output{};
  CA_TRY_VOID(wait_for_any_status(context, id, wanted));
  context.out << "Complete\n";
  return Output{};
}

Result<Output> run_resize_confirm(Context& context, const Args& args) {
  return act_on_one(context, args, {{"confirmResize", nullptr}}, {"ACTIVE", "SHUTOFF"});
}

Result<Output> run_resize_revert(Context& context, const Args& args) {
  return act_on_one(context, args, {{"revertResize", nullptr}}, {"ACTIVE", "SHUTOFF"});
}

Result<Output> run_resize(Context& context, const Args& args) {
  if (args.has("confirm")) return run_resize_confirm(context, args);
  if (args.has("revert")) return run_resize_revert(context, args);
  const auto wanted = args.get("flavor");
  if (!wanted) return fail(Code::kInvalid, "one of the arguments --flavor --confirm --revert is required", "give --flavor <flavor>");
  CA_TRY(const Json flavor, find_flavor(context.api, *wanted));
  return act_on_one(context, args, {{"resize", {{"flavorRef", text_member(flavor, "id")}}}}, {"VERIFY_RESIZE"});
}

// --- set, unset

Result<void> edit(Context& context, const std::string& id, const Json& server) {
  if (server.empty()) return {};
  CA_TRY_VOID(context.api.send({.method = "PUT", .path = path_of(id), .body = Json{{"server", server}}}));
  return {};
}

Result<Output> run_set(Context& context, const Args& args) {
  CA_TRY(const std::string id, server_id(context.api, args.text("<server>")));
  Json server = Json::object();
  for (const char* name : {"name", "description", "hostname"}) {
    if (const auto value = args.get(name)) server[name] = *value;
  }
  CA_TRY_VOID(edit(context, id, server));
  if (args.has("property")) {
    const Json body{{"metadata", object_of(args.pairs("property"))}};
    CA_TRY_VOID(context.api.send({.method = "POST", .path = path_of(id) + "/metadata", .body = body}));
  }
  if (const auto state = args.get("state")) CA_TRY_VOID(act(context, id, {{"os-resetState", {{"state", *state}}}}));
  if (const auto password = args.get("password")) CA_TRY_VOID(act(context, id, {{"changePassword", {{"adminPass", *password}}}}));
  for (const std::string& tag : args.all("tag")) {
    CA_TRY_VOID(context.api.send({.method = "PUT", .path = path_of(id) + "/tags/" + percent_encode(tag)}));
  }
  return Output{};
}

Result<Output> run_unset(Context& context, const Args& args) {
  CA_TRY(const std::string id, server_id(context.api, args.text("<server>")));
  for (const std::string& key : args.all("property")) {
    CA_TRY_VOID(context.api.send({.method = "DELETE", .path = path_of(id) + "/metadata/" + percent_encode(key)}));
  }
  if (args.has("description")) CA_TRY_VOID(edit(context, id, {{"description", ""}}));
  for (const std::string& tag : args.all("tag")) {
    CA_TRY_VOID(context.api.send({.method = "DELETE", .path = path_of(id) + "/tags/" + percent_encode(tag)}));
  }
  return Output{};
}

constexpr Positional kOneServer[] = {{.name = "<server>", .help = "Server (name or ID)"}};
constexpr Positional kServers[] = {{.name = "<server>", .help = "Server(s) (name or ID)", .many = true}};

constexpr Option kWait[] = {{.names = "--wait", .help = "Wait until it is done"}};
constexpr Option kLockOptions[] = {{.names = "--reason", .metavar = "<reason>", .help = "Reason for locking the server(s)"}};

constexpr Option kResizeOptions[] = {
    {.names = "--flavor", .metavar = "<flavor>", .help = "Resize server to specified flavor (name or ID)", .exclusive = "resize"},
    {.names = "--confirm", .help = "Confirm server resize is complete; the same as server resize confirm", .exclusive = "resize"},
    {.names = "--revert", .help = "Restore server state before resize; the same as server resize revert", .exclusive = "resize"},
    {.names = "--wait", .help = "Wait for resize to complete"},
};

constexpr Option kSetOptions[] = {
    {.names = "--name", .metavar = "<new-name>", .help = "New server name"},
    {.names = "--password", .metavar = "<password>", .help = "Set the server password, by the guest agent"},
    {.names = "--property",
     .metavar = "<key=value>",
     .help = "Property to add or modify for this server (repeat option to set multiple properties)",
     .type = ArgType::kKeyValue,
     .repeat = true},
    {.names = "--state", .metavar = "<state>", .help = "New server state", .choices = "active error"},
    {.names = "--description", .metavar = "<description>", .help = "New server description"},
    {.names = "--tag", .metavar = "<tag>", .help = "Tag for the server (repeat option to set multiple values)", .repeat = true},
    {.names = "--hostname", .metavar = "<hostname>", .help = "Hostname for the server; the guest keeps the one it has"},
};

constexpr Option kUnsetOptions[] = {
    {.names = "--property",
     .metavar = "<key>",
     .help = "Property key to remove from server (repeat option to remove multiple values)",
     .repeat = true},
    {.names = "--description", .help = "Unset server description"},
    {.names = "--tag",
     .metavar = "<tag>",
     .help = "Tag to remove from the server (repeat option to remove multiple values)",
     .repeat = true},
};

constexpr Command kCommands[] = {
    {.name = "server dump create",
     .summary = "Create a dump file in server(s)",
     .description = "Sends a non-maskable interrupt; a guest that is set up for it (kdump in Linux) writes a dump and restarts.",
     .positionals = kServers,
     .example = "computectl server dump create demo1",
     .run = &run_dump_create},
    {.name = "server lock",
     .summary = "Lock server(s)",
     .description = "A non-admin user will not be able to execute actions.",
     .positionals = kServers,
     .options = kLockOptions,
     .example = "computectl server lock --reason 'audit' demo1",
     .run = &run_lock},
    {.name = "server pause",
     .summary = "Pause server(s)",
     .positionals = kServers,
     .options = kWait,
     .example = "computectl server pause --wait demo1",
     .run = &run_pause},
    {.name = "server resize",
     .summary = "Scale server to a new flavor",
     .description = "The server is shut down, gets the new flavor, and is VERIFY_RESIZE until the resize is confirmed or reverted.",
     .positionals = kOneServer,
     .options = kResizeOptions,
     .example = "computectl server resize --flavor m1.small --wait demo1",
     .run = &run_resize},
    {.name = "server resize confirm",
     .summary = "Confirm server resize",
     .positionals = kOneServer,
     .options = kWait,
     .example = "computectl server resize confirm demo1",
     .run = &run_resize_confirm},
    {.name = "server resize revert",
     .summary = "Revert server resize",
     .description = "The flavor and the disks are again what they were; what the guest wrote since is lost.",
     .positionals = kOneServer,
     .options = kWait,
     .example = "computectl server resize revert --wait demo1",
     .run = &run_resize_revert},
    {.name = "server restore",
     .summary = "Restore server(s) from soft-deleted state",
     .positionals = kServers,
     .options = kWait,
     .example = "computectl server restore demo1",
     .run = &run_restore},
    {.name = "server resume",
     .summary = "Resume server(s)",
     .positionals = kServers,
     .options = kWait,
     .example = "computectl server resume --wait demo1",
     .run = &run_resume},
    {.name = "server set",
     .summary = "Set server properties",
     .positionals = kOneServer,
     .options = kSetOptions,
     .example = "computectl server set --name web1 --property role=web --tag blue demo1",
     .run = &run_set},
    {.name = "server suspend",
     .summary = "Suspend server(s)",
     .positionals = kServers,
     .options = kWait,
     .example = "computectl server suspend --wait demo1",
     .run = &run_suspend},
    {.name = "server unlock",
     .summary = "Unlock server(s)",
     .positionals = kServers,
     .example = "computectl server unlock demo1",
     .run = &run_unlock},
    {.name = "server unpause",
     .summary = "Unpause server(s)",
     .positionals = kServers,
     .options = kWait,
     .example = "computectl server unpause --wait demo1",
     .run = &run_unpause},
    {.name = "server unset",
     .summary = "Unset server properties and tags",
     .positionals = kOneServer,
     .options = kUnsetOptions,
     .example = "computectl server unset --property role --tag blue demo1",
     .run = &run_unset},
};

}  // namespace

// Lists without a filter leave soft-deleted servers out.
Result<Json> find_server_or_deleted(Api& api, const std::string& name) {
  auto found = find_server(api, name);
  if (found || found.error().code != Code::kNotFound) return found;
  CA_TRY(auto records, api.list({.path = "/servers/detail", .query = {{"status", "SOFT_DELETED"}}}, "servers"));
  return choose_one(std::move(records), "server", name);
}

std::span<const Command> server_life_commands() { return kCommands; }

}  // namespace ca::ctl
