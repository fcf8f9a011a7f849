#include <ostream>

#include "agent/ctl/commands.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

Result<std::vector<Json>> bases(Context& context) {
  CA_TRY(const Json answer, context.api.json({.service = Service::kAgent, .path = "/image_cache"}));
  const Json list = array_member(answer, "bases");
  return std::vector<Json>(list.begin(), list.end());
}

Result<Output> run_list(Context& context, const Args& args) {
  CA_TRY(const auto found, bases(context));
  std::vector<ColumnOf> columns{
      {"Base", "name"},       {"Image", "image_name"},         {"Size", "size"}, {"On Disk", "allocated"}, {"State", "state"},
      {"Age", "age_seconds"}, {"Used By", "users", &list_cell}};
  if (args.has("long")) {
    columns.insert(columns.end(), {{"Image ID", "image_id"}, {"Last Used", "used_at"}, {"Last Checked", "checked_at"}});
  }
  return Output(listing_of(columns, found));
}

Result<Output> run_clean(Context& context, const Args& args) {
  Json order = Json::object();
  if (const auto age = args.number("min-age")) order["min_age_seconds"] = *age;
  CA_TRY(const Json answer,
         context.api.json({.method = "POST", .service = Service::kAgent, .path = "/image_cache/clean", .body = std::move(order)}));
  Listing removed{{"Removed"}, {}};
  for (const Json& name : array_member(answer, "removed")) removed.rows.push_back({plain_cell(name)});
  return Output(std::move(removed));
}

// One order for each base: a large one takes its time.
Result<Output> run_verify(Context& context, const Args& args) {
  std::vector<std::string> names = args.all("<base>");
  if (names.empty()) {
    CA_TRY(const auto found, bases(context));
    for (const Json& base : found) names.push_back(text_member(base, "name"));
  }
  Listing checked{{"Base", "Result"}, {}};
  for (const std::string& name : names) {
    CA_TRY(const Json answer,
           context.api.json({.method = "POST", .service = Service::kAgent, .path = "/image_cache/verify", .body = Json{{"name", name}}}));
    checked.rows.push_back({plain_cell(name), plain_cell(member_or_empty(answer, "result"))});
  }
  return Output(std::move(checked));
}

constexpr Positional kBases[] = {
    {.name = "<base>", .help = "Base(s) to check, as `image cache list` names them (default all)", .many = true, .optional = true}};
constexpr Option kListOptions[] = {{.names = "--long", .help = "List additional fields in output"}};
constexpr Option kCleanOptions[] = {
    {.names = "--min-age",
     .metavar = "<seconds>",
     .help = "Remove what was not used for so long (default remove_unused_original_minimum_age_seconds)",
     .type = ArgType::kNotNegative},
};

constexpr Command kCommands[] = {
    {.name = "image cache list",
     .summary = "List the base images that this host keeps",
     .description = "Size and On Disk are in bytes, Age is the time since a disk was last made of the base, in seconds. Used By names "
                    "the instances whose record or disk refers to it.",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl image cache list --long",
     .run = &run_list},
    {.name = "image cache clean",
     .summary = "Remove base images that nothing uses",
     .options = kCleanOptions,
     .display = Display::kList,
     .example = "computectl image cache clean --min-age 3600",
     .run = &run_clean},
    {.name = "image cache verify",
     .summary = "Compare base images with their checksums",
     .description = "A damaged base is fetched again while its image is there. The agent's log names the instances that hang on it.",
     .positionals = kBases,
     .display = Display::kList,
     .example = "computectl image cache verify swap_64",
     .run = &run_verify},
};

}  // namespace

std::span<const Command> image_cache_commands() { return kCommands; }

}  // namespace ca::ctl
