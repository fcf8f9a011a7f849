#include <ostream>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

Result<Output> run_log_show(Context& context, const Args& args) {
  CA_TRY(const std::string id, server_id(context.api, args.text("<server>")));
  Json order = Json::object();
  if (const auto lines = args.number("lines")) order["length"] = *lines;
  CA_TRY(const Json answer, context.api.json({.method = "POST",
                                              .path = "/servers/" + percent_encode(id) + "/action",
                                              .body = Json{{"os-getConsoleOutput", std::move(order)}}}));
  std::string log = text_member(answer, "output");
  if (context.out_is_terminal) log = console_text_for_terminal(log);
  if (!log.empty() && log.back() != '\n') log += '\n';
  context.out << log;
  return Output{};
}

constexpr Positional kServer[] = {{.name = "<server>", .help = "Server to show console log of (name or ID)"}};
constexpr Option kOptions[] = {
    {.names = "--lines",
     .metavar = "<num-lines>",
     .help = "Number of lines to display from the end of the log (default all)",
     .type = ArgType::kNotNegative},
};
constexpr Command kCommands[] = {
    {.name = "console log show",
     .summary = "Show server's console output",
     .description =
         "On a terminal, escape sequences of the guest other than colours are left out; into a file or pipe the log goes as it is.",
     .positionals = kServer,
     .options = kOptions,
     .example = "computectl console log show --lines 20 demo1",
     .run = &run_log_show},
};

}  // namespace

std::span<const Command> console_commands() { return kCommands; }

}  // namespace ca::ctl
