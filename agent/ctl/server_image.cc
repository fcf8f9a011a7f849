// Commands that make an image of a server: image create, backup create, shelve, unshelve.

#include <algorithm>
#include <ostream>

#include "agent/ctl/image_internal.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/server_internal.h"
#include "agent/ctl/text.h"
#include "agent/ctl/wait.h"

namespace ca::ctl {
namespace {

Result<Json> act(Context& context, const std::string& id, Json action) {
  return context.api.json({.method = "POST", .path = "/servers/" + percent_encode(id) + "/action", .body = std::move(action)});
}

Result<Json> get_image(Context& context, const std::string& id) {
  return context.api.json({.service = Service::kImage, .path = "/images/" + percent_encode(id)});
}

// A backup's rotation comes after its image is complete.
bool works_on(Context& context, const std::string& server) {
  const auto found = context.api.record({.path = "/servers/" + percent_encode(server)}, "server");
  return found && !text_member(*found, "OS-EXT-STS:task_state").empty();
}

// Until the image is active and the order done; the server's own account of it where the image will never be.
Result<Json> wait_for_snapshot(Context& context, const std::string& id, const std::string& server) {
  Millis interval{50};
  while (true) {
    auto image = get_image(context, id);
    if (image && text_member(*image, "status") == "active" && !works_on(context, server)) return image;
    if (!image && image.error().code != Code::kNotFound) return image;
    if (!image) {
      return fail(Code::kExternal, "the image " + id + " was given up", "see why: computectl server event list " + server);
    }
    context.sleep(interval);
    interval = std::min(Millis{1000}, interval * 3 / 2);
  }
}

// Orders the image and shows it.
Result<Output> make_image(Context& context, const Args& args, const std::string& server, Json action) {
  CA_TRY(const Json answer, act(context, server, std::move(action)));
  const std::string id = text_member(answer, "image_id");
  if (id.empty()) return Output{};  // a backup that keeps none
  Json image;
  if (args.has("wait")) {
    CA_TRY(image, wait_for_snapshot(context, id, server));
  } else {
    CA_TRY(image, get_image(context, id));
  }
  return Output(image_details(image, false));
}

Result<Output> run_image_create_of_server(Context& context, const Args& args) {
  CA_TRY(const Json server, find_server(context.api, args.text("<server>")));
  const std::string id = text_member(server, "id");
  Json body{{"name", args.text("name", text_member(server, "name"))}};
  if (args.has("property")) body["metadata"] = object_of(args.pairs("property"));
  return make_image(context, args, id, {{"createImage", std::move(body)}});
}

Result<Output> run_backup_create(Context& context, const Args& args) {
  CA_TRY(const Json server, find_server(context.api, args.text("<server>")));
  const Json body{{"name", args.text("name", text_member(server, "name"))},
                  {"backup_type", args.text("type")},
                  {"rotation", args.number("rotate").value_or(1)}};
  return make_image(context, args, text_member(server, "id"), {{"createBackup", body}});
}

Result<Output> run_server_shelve(Context& context, const Args& args) {
  return for_each_name(context, args.all("<server>"), "shelve", "server", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json server, find_server(context.api, name));
    const std::string id = text_member(server, "id");
    const std::string status = text_member(server, "status");
    if (!status.starts_with("SHELVED")) {
      CA_TRY_VOID(act(context, id, {{"shelve", nullptr}}));
      if (args.has("wait") || args.has("offload")) CA_TRY_VOID(wait_for_any_status(context, id, {"SHELVED_OFFLOADED", "SHELVED"}));
    }
    if (!args.has("offload")) return {};
    CA_TRY(const Json now, find_server(context.api, id));
    if (text_member(now, "status") == "SHELVED_OFFLOADED") return {};
    CA_TRY_VOID(act(context, id, {{"shelveOffload", nullptr}}));
    if (args.has("wait")) CA_TRY_VOID(wait_for_status(context, id, "SHELVED_OFFLOADED"));
    return {};
  });
}

Result<Output> run_server_unshelve(Context& context, const Args& args) {
  return for_each_name(context, args.all("<server>"), "unshelve", "server", [&](const std::string& name) -> Result<void> {
    CA_TRY(const std::string id, server_id(context.api, name));
    CA_TRY_VOID(act(context, id, {{"unshelve", nullptr}}));
    if (args.has("wait")) CA_TRY_VOID(wait_for_status(context, id, "ACTIVE"));
    return {};
  });
}

constexpr Positional kServer[] = {{.name = "<server>", .help = "Server (name or ID)"}};
constexpr Positional kServers[] = {{.name = "<server>", .help = "Server(s) (name or ID)", .many = true}};

constexpr Option kImageOptions[] = {
    {.names = "--name", .metavar = "<image-name>", .help = "Name of new disk image (default: server name)"},
    {.names = "--property",
     .metavar = "<key=value>",
     .help = "Set a new property to meta_data.json of the image (repeat option to set multiple values)",
     .type = ArgType::kKeyValue,
     .repeat = true},
    {.names = "--wait", .help = "Wait for operation to complete"},
};

constexpr Option kBackupOptions[] = {
    {.names = "--name", .metavar = "<name>", .help = "Name of the backup image (default: server name)"},
    {.names = "--type",
     .metavar = "<backup-type>",
     .help = "Used to populate the backup_type property of the backup image (default: empty)",
     .required = true},
    {.names = "--rotate", .metavar = "<count>", .help = "Number of backups to keep (default: 1)", .type = ArgType::kNotNegative},
    {.names = "--wait", .help = "Wait for backup image create to complete"},
};

constexpr Option kShelveOptions[] = {
    {.names = "--offload", .help = "Remove the shelved server(s) from the host"},
    {.names = "--wait", .help = "Wait for shelve and/or offload operation to complete"},
};

constexpr Option kUnshelveOptions[] = {{.names = "--wait", .help = "Wait for unshelve operation to complete"}};

constexpr Command kCommands[] = {
    {.name = "server backup create",
     .summary = "Create a server backup image",
     .description = "The oldest backups of the same server and type beyond --rotate are deleted.",
     .positionals = kServer,
     .options = kBackupOptions,
     .display = Display::kShow,
     .example = "computectl server backup create --name demo1-backup --type daily --rotate 7 --wait demo1",
     .run = &run_backup_create},
    {.name = "server image create",
     .summary = "Create a new server disk image from an existing server",
     .description = "A running server goes on meanwhile.",
     .positionals = kServer,
     .options = kImageOptions,
     .display = Display::kShow,
     .example = "computectl server image create --name demo1-snapshot --wait demo1",
     .run = &run_image_create_of_server},
    {.name = "server shelve",
     .summary = "Shelve and optionally offload server(s)",
     .description = "The server is stopped and its disk kept as an image. Offloaded, it takes nothing of the host any more.",
     .positionals = kServers,
     .options = kShelveOptions,
     .example = "computectl server shelve --offload --wait demo1",
     .run = &run_server_shelve},
    {.name = "server unshelve",
     .summary = "Unshelve server(s)",
     .positionals = kServers,
     .options = kUnshelveOptions,
     .example = "computectl server unshelve --wait demo1",
     .run = &run_server_unshelve},
};

}  // namespace

std::span<const Command> server_image_commands() { return kCommands; }

}  // namespace ca::ctl
