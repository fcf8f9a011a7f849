#include <map>
#include <regex>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"

namespace ca::ctl {
namespace {

// 2.87 is the last microversion that has vCPUs, memory and the statistics.
constexpr const char* kMicroversion = "2.87";

Result<Output> run_hypervisor_list(Context& context, const Args& args) {
  if (args.has("matching") && (args.has("marker") || args.has("limit"))) {
    return fail(Code::kInvalid, "--matching is not compatible with --marker or --limit", "give either --matching or pages");
  }
  Query query;
  if (const auto pattern = args.get("matching")) query.emplace_back("hypervisor_hostname_pattern", *pattern);
  for (const std::string_view name : {"marker", "limit"}) {
    if (const auto value = args.get(name)) query.emplace_back(name, *value);
  }
  CA_TRY(const auto found,
         context.api.list({.path = "/os-hypervisors/detail", .query = query, .microversion = kMicroversion}, "hypervisors"));
  std::vector<ColumnOf> columns{{"ID", "id"},
                                {"Hypervisor Hostname", "hypervisor_hostname"},
                                {"Hypervisor Type", "hypervisor_type"},
                                {"Host IP", "host_ip"},
                                {"State", "state"}};
  if (args.has("long")) {
    columns.insert(columns.end(),
                   {{"vCPUs Used", "vcpus_used"}, {"vCPUs", "vcpus"}, {"Memory MB Used", "memory_mb_used"}, {"Memory MB", "memory_mb"}});
  }
  return Output(listing_of(columns, found));
}

// " 17:37:14 up  2:33,  3 users,  load average: 0.33, 0.36, 0.34" in its parts.
void add_uptime(std::map<std::string, Cell>& cells, const std::string& text) {
  const std::regex form(R"(\s*(.+)\sup\s+(.+),\s+(.+)\susers?,\s+load average:\s(.+))");
  std::smatch parts;
  if (text.size() > 256 || !std::regex_match(text, parts, form)) return;
  cells["host_time"] = plain_cell(parts[1].str());
  cells["uptime"] = plain_cell(parts[2].str());
  cells["users"] = plain_cell(parts[3].str());
  cells["load_average"] = plain_cell(parts[4].str());
}

Result<Output> run_hypervisor_show(Context& context, const Args& args) {
  CA_TRY(const Json hypervisor, find_hypervisor(context.api, args.text("<hypervisor>")));
  std::map<std::string, Cell> cells{{"aggregates", plain_cell(Json::array())}};
  for (const auto& [name, value] : hypervisor.items()) {
    if (name == "service") {
      cells["service_id"] = plain_cell(member_or_empty(value, "id"));
      cells["service_host"] = plain_cell(member_or_empty(value, "host"));
    } else if (name != "servers") {
      cells[name] = value.is_object() ? dict_cell(value) : plain_cell(value);
    }
  }
  add_uptime(cells, text_member(hypervisor, "uptime"));
  Details details;
  for (auto& [name, cell] : cells) details.add(name, std::move(cell));
  return Output(std::move(details));
}

Result<Output> run_stats_show(Context& context, const Args& /*args*/) {
  CA_TRY(const Json statistics,
         context.api.record({.path = "/os-hypervisors/statistics", .microversion = kMicroversion}, "hypervisor_statistics"));
  Details details;
  for (const auto& [name, value] : statistics.items()) details.add(name, plain_cell(value));
  return Output(std::move(details));
}

constexpr Positional kHypervisor[] = {{.name = "<hypervisor>", .help = "Hypervisor to display (name or ID)"}};
constexpr Option kListOptions[] = {
    {.names = "--matching", .metavar = "<hostname>", .help = "Filter hypervisors using <hostname> substring"},
    {.names = "--marker", .metavar = "<marker>", .help = "The UUID of the last hypervisor of the previous page"},
    {.names = "--limit", .metavar = "<limit>", .help = "Maximum number of hypervisors to display", .type = ArgType::kNotNegative},
    {.names = "--long", .help = "List additional fields in output"},
};

constexpr Command kCommands[] = {
    {.name = "hypervisor list",
     .summary = "List hypervisors",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl hypervisor list --long",
     .run = &run_hypervisor_list},
    {.name = "hypervisor show",
     .summary = "Display hypervisor details",
     .positionals = kHypervisor,
     .display = Display::kShow,
     .example = "computectl hypervisor show host1",
     .run = &run_hypervisor_show},
    {.name = "hypervisor stats show",
     .summary = "Display hypervisor stats details",
     .display = Display::kShow,
     .example = "computectl hypervisor stats show",
     .run = &run_stats_show},
};

}  // namespace

std::span<const Command> hypervisor_commands() { return kCommands; }

}  // namespace ca::ctl
