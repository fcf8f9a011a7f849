// The server commands: their table, and those that are a call and perhaps a wait.

#include <ostream>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/server_internal.h"
#include "agent/ctl/text.h"
#include "agent/ctl/wait.h"

namespace ca::ctl {
namespace {

Result<void> act(Context& context, const std::string& id, Json action) {
  CA_TRY_VOID(context.api.send({.method = "POST", .path = "/servers/" + percent_encode(id) + "/action", .body = std::move(action)}));
  return {};
}

Result<Output> run_server_delete(Context& context, const Args& args) {
  return for_each_name(context, args.all("<server>"), "delete", "server", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json server, args.has("force") ? find_server_or_deleted(context.api, name) : find_server(context.api, name));
    const std::string id = text_member(server, "id");
    if (args.has("force")) {
      CA_TRY_VOID(act(context, id, {{"forceDelete", nullptr}}));
    } else {
      CA_TRY_VOID(context.api.send({.method = "DELETE", .path = "/servers/" + percent_encode(id)}));
    }
    if (!args.has("wait")) return {};
    return wait_for_delete(context, server);
  });
}

Result<Output> power(Context& context, const Args& args, std::string_view verb, const char* action, const std::string& wanted) {
  return for_each_name(context, args.all("<server>"), verb, "server", [&](const std::string& name) -> Result<void> {
    CA_TRY(const std::string id, server_id(context.api, name));
    CA_TRY_VOID(act(context, id, {{action, nullptr}}));
    if (!args.has("wait")) return {};
    CA_TRY_VOID(wait_for_status(context, id, wanted));
    return {};
  });
}

Result<Output> run_server_start(Context& context, const Args& args) { return power(context, args, "start", "os-start", "ACTIVE"); }
Result<Output> run_server_stop(Context& context, const Args& args) { return power(context, args, "stop", "os-stop", "SHUTOFF"); }

Result<Output> run_server_reboot(Context& context, const Args& args) {
  CA_TRY(const std::string id, server_id(context.api, args.text("<server>")));
  CA_TRY_VOID(act(context, id, {{"reboot", {{"type", args.has("hard") ? "HARD" : "SOFT"}}}}));
  if (!args.has("wait")) return Output{};
  CA_TRY_VOID(wait_for_status(context, id, "ACTIVE"));
  context.out << "Complete\n";
  return Output{};
}

constexpr Positional kOneServer[] = {{.name = "<server>", .help = "Server (name or ID)"}};
constexpr Positional kServers[] = {{.name = "<server>", .help = "Server(s) (name or ID)", .many = true}};
constexpr Positional kNewServer[] = {{.name = "<server-name>", .help = "New server name"}};

constexpr Option kCreateOptions[] = {
    {.names = "--flavor", .metavar = "<flavor>", .help = "Create server with this flavor (name or ID)", .required = true},
    {.names = "--image", .metavar = "<image>", .help = "Create server boot disk from this image (name or ID)", .exclusive = "boot"},
    {.names = "--volume",
     .metavar = "<volume>",
     .help = "Create server using this volume as the boot disk (name or ID)",
     .exclusive = "boot"},
    {.names = "--boot-from-volume",
     .metavar = "<volume-size>",
     .help = "Create a volume of this size in GB from --image and boot from it",
     .type = ArgType::kNotNegative},
    {.names = "--block-device",
     .metavar = "<key=value,...>",
     .help = "Create a block device on the server (repeat option for more). Keys: uuid, source_type (volume, snapshot, image, blank), "
             "destination_type, boot_index, volume_size (GB), device_name, disk_bus, tag, delete_on_termination",
     .repeat = true,
     .check = &block_device_problem},
    {.names = "--network",
     .metavar = "<network>",
     .help = "Create a NIC on the server and connect it to network (name or ID; repeat option for more NICs). The same as --nic "
             "net-id=<network>",
     .repeat = true,
     .check = &nic_name_problem},
    {.names = "--port",
     .metavar = "<port>",
     .help = "Create a NIC on the server and connect it to port (name or ID; repeat option for more NICs)",
     .repeat = true,
     .check = &nic_name_problem},
    {.names = "--nic",
     .metavar = "<net-id=net-uuid,port-id=port-uuid,v4-fixed-ip=ip-addr,v6-fixed-ip=ip-addr,tag=tag,auto,none>",
     .help = "Create a NIC on the server (repeat option for more). Either net-id or port-id; auto: a network is chosen; none: no network "
             "is attached",
     .repeat = true,
     .check = &nic_problem},
    {.names = "--ephemeral",
     .metavar = "<size=size[,format=format]>",
     .help = "Create and attach a local ephemeral block device of <size> GiB with a file system ext4, vfat or xfs (repeat option for "
             "more; together no more than the flavor has). Default: one of all that the flavor has",
     .repeat = true,
     .check = &ephemeral_problem},
    {.names = "--swap",
     .metavar = "<swap>",
     .help = "Create and attach a local swap block device of <swap> MiB. Default: all that the flavor has",
     .type = ArgType::kNotNegative},
    {.names = "--key-name", .metavar = "<key-name>", .help = "Keypair to inject into this server"},
    {.names = "--property",
     .metavar = "<key=value>",
     .help = "Set a property on this server (repeat option to set multiple values)",
     .type = ArgType::kKeyValue,
     .repeat = true},
    {.names = "--user-data", .metavar = "<user-data>", .help = "User data file to serve on the config drive"},
    {.names = "--description", .metavar = "<description>", .help = "Set description for the server"},
    {.names = "--availability-zone", .metavar = "<zone-name>", .help = "Select an availability zone for the server"},
    {.names = "--host", .metavar = "<host>", .help = "Requested host to create servers"},
    {.names = "--use-config-drive", .help = "Enable config drive", .exclusive = "config-drive"},
    {.names = "--no-config-drive", .help = "Disable config drive", .exclusive = "config-drive"},
    {.names = "--config-drive",
     .metavar = "<True|False>",
     .help = "Enable or disable config drive; replaced by --use-config-drive",
     .exclusive = "config-drive"},
    {.names = "--min", .metavar = "<count>", .help = "Minimum number of servers to launch (default 1)", .type = ArgType::kInt},
    {.names = "--max", .metavar = "<count>", .help = "Maximum number of servers to launch (default 1)", .type = ArgType::kInt},
    {.names = "--tag", .metavar = "<tag>", .help = "Tag for the server (repeat option for more)", .repeat = true},
    {.names = "--hostname", .metavar = "<hostname>", .help = "Hostname of the guest; default: made from the server name"},
    {.names = "--wait", .help = "Wait for build to complete"},
};

constexpr Option kListOptions[] = {
    {.names = "--reservation-id", .metavar = "<reservation-id>", .help = "Only return instances that match the reservation"},
    {.names = "--ip", .metavar = "<ip-address-regex>", .help = "Regular expression to match IP addresses"},
    {.names = "--ip6", .metavar = "<ip-address-regex>", .help = "Regular expression to match IPv6 addresses"},
    {.names = "--name", .metavar = "<name-regex>", .help = "Regular expression to match names"},
    {.names = "--instance-name", .metavar = "<server-name>", .help = "Regular expression to match instance name"},
    {.names = "--status",
     .metavar = "<status>",
     .help = "Search by server status",
     .choices = "ACTIVE BUILD DELETED ERROR HARD_REBOOT MIGRATING PASSWORD PAUSED REBOOT REBUILD RESCUE RESIZE REVERT_RESIZE SHELVED "
                "SHELVED_OFFLOADED SHUTOFF SOFT_DELETED SUSPENDED VERIFY_RESIZE"},
    {.names = "--flavor", .metavar = "<flavor>", .help = "Search by flavor (name or ID)"},
    {.names = "--image", .metavar = "<image>", .help = "Search by image (name or ID)"},
    {.names = "--host", .metavar = "<hostname>", .help = "Search by hostname"},
    {.names = "--all-projects", .help = "Include all projects"},
    {.names = "--deleted", .help = "Only display deleted servers"},
    {.names = "--availability-zone", .metavar = "<zone-name>", .help = "Search by availability zone"},
    {.names = "--key-name", .metavar = "<key-name>", .help = "Search by keypair name"},
    {.names = "--vm-state",
     .metavar = "<state>",
     .help = "Search by vm_state value",
     .choices = "active building deleted error paused stopped suspended rescued resized shelved shelved_offloaded soft-delete"},
    {.names = "--task-state", .metavar = "<state>", .help = "Search by task_state value"},
    {.names = "--power-state",
     .metavar = "<state>",
     .help = "Search by power_state value",
     .choices = "pending running paused shutdown crashed suspended"},
    {.names = "--long", .help = "List additional fields in output"},
    {.names = "-n --no-name-lookup", .help = "Skip image name lookup", .exclusive = "lookup"},
    {.names = "--name-lookup-one-by-one", .help = "Look image names up one by one instead of all together", .exclusive = "lookup"},
    {.names = "--marker", .metavar = "<server>", .help = "The last server of the previous page (name or ID)"},
    {.names = "--limit", .metavar = "<num-servers>", .help = "Maximum number of servers to display; -1: all", .type = ArgType::kInt},
    {.names = "--changes-before",
     .metavar = "<changes-before>",
     .help = "List only servers changed before this time (2026-03-05T06:27:59Z)"},
    {.names = "--changes-since", .metavar = "<changes-since>", .help = "List only servers changed after this time (2026-03-05T06:27:59Z)"},
    {.names = "--locked", .help = "Only display locked servers", .exclusive = "lock"},
    {.names = "--unlocked", .help = "Only display unlocked servers", .exclusive = "lock"},
    {.names = "--tags", .metavar = "<tag>", .help = "Only list servers with the specified tag (repeat option for more)", .repeat = true},
    {.names = "--not-tags",
     .metavar = "<tag>",
     .help = "Only list servers without the specified tag (repeat option for more)",
     .repeat = true},
};

constexpr Option kDeleteOptions[] = {
    {.names = "--force", .help = "Force delete server(s)"},
    {.names = "--wait", .help = "Wait for delete to complete"},
};

constexpr Option kRebootOptions[] = {
    {.names = "--hard", .help = "Perform a hard reboot", .exclusive = "reboot"},
    {.names = "--soft", .help = "Perform a soft reboot (default)", .exclusive = "reboot"},
    {.names = "--wait", .help = "Wait for reboot to complete"},
};

constexpr Option kShowOptions[] = {{.names = "--diagnostics", .help = "Display server diagnostics information"}};

constexpr Option kPowerOptions[] = {{.names = "--wait", .help = "Wait until it is done"}};

constexpr Command kServerCommands[] = {
    {.name = "server create",
     .summary = "Create a new server",
     .description = "With --wait, a line on the terminal shows how far it is; when the build fails, the fault with its causes and what to "
                    "do is shown and "
                    "the exit status is 1.",
     .positionals = kNewServer,
     .options = kCreateOptions,
     .display = Display::kShow,
     .example = "computectl server create --image demo --flavor m1.tiny --network net1 --key-name mykey --wait demo1\n"
                "computectl server create --volume root1 --flavor m1.tiny --network net1 demo2",
     .run = &run_server_create},
    {.name = "server delete",
     .summary = "Delete server(s)",
     .positionals = kServers,
     .options = kDeleteOptions,
     .example = "computectl server delete --wait demo1 demo2",
     .run = &run_server_delete},
    {.name = "server list",
     .summary = "List servers",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl server list --status ACTIVE --long\ncomputectl server list -f value -c ID -c Name",
     .run = &run_server_list},
    {.name = "server reboot",
     .summary = "Perform a hard or soft server reboot",
     .positionals = kOneServer,
     .options = kRebootOptions,
     .example = "computectl server reboot --hard --wait demo1",
     .run = &run_server_reboot},
    {.name = "server show",
     .summary = "Show server details",
     .positionals = kOneServer,
     .options = kShowOptions,
     .display = Display::kShow,
     .example = "computectl server show demo1\ncomputectl server show -f value -c status demo1",
     .run = &run_server_show},
    {.name = "server start",
     .summary = "Start server(s)",
     .positionals = kServers,
     .options = kPowerOptions,
     .example = "computectl server start demo1 demo2",
     .run = &run_server_start},
    {.name = "server stop",
     .summary = "Stop server(s)",
     .positionals = kServers,
     .options = kPowerOptions,
     .example = "computectl server stop --wait demo1",
     .run = &run_server_stop},
};

}  // namespace

std::span<const Command> server_commands() { return kServerCommands; }

}  // namespace ca::ctl
