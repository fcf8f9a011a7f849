// server event: what was ordered of a server, and each order's steps.

#include <algorithm>
#include <map>

#include "agent/core/ids.h"
#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

// Events of a deleted server can be had by its id.
Result<std::string> id_of(Api& api, const std::string& name_or_id) {
  auto id = server_id(api, name_or_id);
  if (!id && id.error().code == Code::kNotFound && is_uuid(lower(name_or_id))) return lower(name_or_id);
  return id;
}

// One step a line; what it does not say is left out.
Cell steps_cell(Json events) {
  std::vector<std::string> lines;
  if (!events.is_array()) return plain_cell(std::move(events));
  for (const Json& event : events) {
    std::vector<std::string> parts;
    for (const char* name : {"event", "start_time", "finish_time", "result", "details"}) {
      if (const std::string text = text_member(event, name); !text.empty()) parts.push_back(name + ("='" + text + "'"));
    }
    lines.push_back(join(parts, ", "));
  }
  return human_cell(std::move(events), join(lines, "\n"));
}

Result<Output> run_event_list(Context& context, const Args& args) {
  CA_TRY(const std::string id, id_of(context.api, args.text("<server>")));
  Query query;
  for (const std::string_view name : {"changes-since", "changes-before", "marker", "limit"}) {
    if (const auto value = args.get(name)) query.emplace_back(name, *value);
  }
  CA_TRY(const auto actions,
         context.api.list({.path = "/servers/" + percent_encode(id) + "/os-instance-actions", .query = query}, "instanceActions"));
  std::vector<ColumnOf> columns{
      {"Request ID", "request_id"}, {"Server ID", "instance_uuid"}, {"Action", "action"}, {"Start Time", "start_time"}};
  if (args.has("long")) columns.insert(columns.end(), {{"Message", "message"}, {"Project ID", "project_id"}, {"User ID", "user_id"}});
  return Output(listing_of(columns, actions));
}

Result<Output> run_event_show(Context& context, const Args& args) {
  CA_TRY(const std::string id, id_of(context.api, args.text("<server>")));
  const std::string path = "/servers/" + percent_encode(id) + "/os-instance-actions/" + percent_encode(args.text("<request-id>"));
  CA_TRY(const Json action, context.api.record({.path = path}, "instanceAction"));
  Details details;
  for (const auto& [name, value] : action.items()) {
    details.add(name, name == "events" ? steps_cell(value) : plain_cell(value));
  }
  return Output(std::move(details));
}

constexpr Positional kServer[] = {{.name = "<server>", .help = "Server to list events of (name or ID; a deleted one by ID)"}};
constexpr Positional kServerAndRequest[] = {
    {.name = "<server>", .help = "Server to show event details of (name or ID; a deleted one by ID)"},
    {.name = "<request-id>", .help = "Request ID of the event to show (ID only)"}};
constexpr Option kListOptions[] = {
    {.names = "--long", .help = "List additional fields in output"},
    {.names = "--changes-since",
     .metavar = "<changes-since>",
     .help = "List only events changed at or after this time (2026-03-05T06:27:59Z)"},
    {.names = "--changes-before",
     .metavar = "<changes-before>",
     .help = "List only events changed at or before this time (2026-03-05T06:27:59Z)"},
    {.names = "--marker", .metavar = "<marker>", .help = "The last server event ID of the previous page"},
    {.names = "--limit", .metavar = "<limit>", .help = "Maximum number of server events to display", .type = ArgType::kNotNegative},
};

constexpr Command kCommands[] = {
    {.name = "server event list",
     .summary = "List recent events of a server",
     .positionals = kServer,
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl server event list --long demo1",
     .run = &run_event_list},
    {.name = "server event show",
     .summary = "Show server event details",
     .description = "With each step of the order: its name, start, finish, result and details.",
     .positionals = kServerAndRequest,
     .display = Display::kShow,
     .example = "computectl server event show demo1 req-3e1f39a1-2b59-4c4b-bd8e-6b1b1b0a7c11",
     .run = &run_event_show},
};

}  // namespace

std::span<const Command> server_event_commands() { return kCommands; }

}  // namespace ca::ctl
