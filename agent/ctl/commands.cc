#include "agent/ctl/commands.h"

#include <ostream>

#include "agent/ctl/completion.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

Result<Output> run_complete(Context& context, const Args& /*args*/) {
  context.out << bash_completion(all_commands());
  return Output{};
}

constexpr Command kToolCommands[] = {
    {.name = "complete",
     .summary = "Print the bash completion",
     .example = "computectl complete > /etc/bash_completion.d/computectl",
     .run = &run_complete},
};

}  // namespace

std::span<const Command> tool_commands() { return kToolCommands; }

const std::vector<Command>& all_commands() {
  static const std::vector<Command> kAll = [] {
    std::vector<Command> all;
    for (const auto& commands : {server_commands(), server_life_commands(), server_event_commands(), server_image_commands(),
                                 server_rescue_commands(), image_commands(), flavor_commands(), network_commands(), image_cache_commands(),
                                 subnet_commands(), keypair_commands(), compute_commands(), hypervisor_commands(), console_commands(),
                                 volume_commands(), volume_snapshot_commands(), server_volume_commands(), tool_commands()}) {
      all.insert(all.end(), commands.begin(), commands.end());
    }
    return all;
  }();
  return kAll;
}

void print_error(std::ostream& err, const Error& error) {
  err << escape_controls(error.message) << '\n';
  for (const Error* cause = error.cause.get(); cause != nullptr; cause = cause->cause.get()) {
    err << "  because: " << escape_controls(cause->message) << '\n';
  }
  err << "what to do: " << escape_controls(error.action()) << '\n';
}

Result<Output> for_each_name(Context& context, const std::vector<std::string>& names, std::string_view verb, std::string_view noun,
                             const std::function<Result<void>(const std::string&)>& one) {
  std::size_t failures = 0;
  for (const std::string& name : names) {
    auto done = one(name);
    if (done) continue;
    if (names.size() == 1) return tl::unexpected<Error>(std::move(done).error());
    ++failures;
    print_error(context.err,
                wrap(std::move(done).error(), "Failed to " + std::string(verb) + " " + std::string(noun) + " '" + name + "'").value());
  }
  if (failures == 0) return Output{};
  return fail(
      Code::kExternal,
      std::to_string(failures) + " of " + std::to_string(names.size()) + " " + std::string(noun) + "s failed to " + std::string(verb) + ".",
      "see what is said above about each");
}

Listing listing_of(std::span<const ColumnOf> columns, const std::vector<Json>& records) {
  Listing listing;
  for (const ColumnOf& column : columns) listing.columns.emplace_back(column.heading);
  listing.rows.reserve(records.size());
  for (const Json& record : records) {
    std::vector<Cell> row;
    row.reserve(columns.size());
    for (const ColumnOf& column : columns) row.push_back(column.cell(member_or_empty(record, column.member)));
    listing.rows.push_back(std::move(row));
  }
  return listing;
}

Json object_of(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Json object = Json::object();
  for (const auto& [key, value] : pairs) object[key] = value;
  return object;
}

}  // namespace ca::ctl
