// compute service: is the agent up, and may new servers be put on its host.

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

Result<std::vector<Json>> services(Api& api, const std::string& host, const std::string& binary) {
  Query query;
  if (!host.empty()) query.emplace_back("host", host);
  if (!binary.empty()) query.emplace_back("binary", binary);
  return api.list({.path = "/os-services", .query = query}, "services");
}

Result<Output> run_service_list(Context& context, const Args& args) {
  CA_TRY(const auto found, services(context.api, args.text("host"), args.text("service")));
  std::vector<ColumnOf> columns{{"ID", "id"},       {"Binary", "binary"},        {"Host", "host"}, {"Zone", "zone"}, {"Status", "status"},
                                {"State", "state"}, {"Updated At", "updated_at"}};
  if (args.has("long")) columns.insert(columns.end(), {{"Disabled Reason", "disabled_reason"}, {"Forced Down", "forced_down"}});
  return Output(listing_of(columns, found));
}

Result<void> update(Api& api, const Json& service, Json change) {
  CA_TRY_VOID(api.send({.method = "PUT", .path = "/os-services/" + percent_encode(text_member(service, "id")), .body = std::move(change)}));
  return {};
}

Result<Output> run_service_set(Context& context, const Args& args) {
  if (args.has("disable-reason") && !args.has("disable")) {
    return fail(Code::kInvalid, "Cannot specify option --disable-reason without --disable specified.", "give --disable too");
  }
  const std::string host = args.text("<host>");
  const std::string binary = args.text("<service>");
  CA_TRY(const auto found, services(context.api, host, binary));
  if (found.empty()) {
    return fail(Code::kNotFound, "Compute service for host \"" + host + "\" and binary \"" + binary + "\" not found.",
                "see which there are: computectl compute service list");
  }
  if (found.size() > 1) {
    return fail(Code::kConflict,
                "Multiple compute services found for host \"" + host + "\" and binary \"" + binary + "\". Unable to proceed.",
                "see which there are: computectl compute service list");
  }
  if (args.has("enable")) CA_TRY_VOID(update(context.api, found[0], {{"status", "enabled"}}));
  if (args.has("disable")) {
    Json change{{"status", "disabled"}};
    if (const auto reason = args.get("disable-reason")) change["disabled_reason"] = *reason;
    CA_TRY_VOID(update(context.api, found[0], std::move(change)));
  }
  if (args.has("up") || args.has("down")) CA_TRY_VOID(update(context.api, found[0], {{"forced_down", args.has("down")}}));
  return Output{};
}

constexpr Positional kHostAndService[] = {{.name = "<host>", .help = "Name of host"},
                                          {.name = "<service>", .help = "Name of service (binary name), for example nova-compute"}};
constexpr Option kListOptions[] = {
    {.names = "--host", .metavar = "<host>", .help = "List services on specified host (name only)"},
    {.names = "--service", .metavar = "<service>", .help = "List only specified service binaries (name only), for example nova-compute"},
    {.names = "--long", .help = "List additional fields in output"},
};
constexpr Option kSetOptions[] = {
    {.names = "--enable", .help = "Enable service", .exclusive = "enable"},
    {.names = "--disable", .help = "Disable service: no new servers are put on the host", .exclusive = "enable"},
    {.names = "--disable-reason", .metavar = "<reason>", .help = "Reason for disabling the service (with --disable)"},
    {.names = "--up", .help = "Force up service", .exclusive = "up"},
    {.names = "--down", .help = "Force down service", .exclusive = "up"},
};

constexpr Command kCommands[] = {
    {.name = "compute service list",
     .summary = "List compute services",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl compute service list --long",
     .run = &run_service_list},
    {.name = "compute service set",
     .summary = "Set compute service properties",
     .positionals = kHostAndService,
     .options = kSetOptions,
     .example = "computectl compute service set --disable --disable-reason \"new disks\" host1 nova-compute",
     .run = &run_service_set},
};

}  // namespace

std::span<const Command> compute_commands() { return kCommands; }

}  // namespace ca::ctl
