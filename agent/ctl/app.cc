#include "agent/ctl/app.h"

#include <cmath>
#include <ostream>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/format.h"
#include "agent/ctl/help.h"
#include "agent/ctl/parser.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

constexpr double kLongestTimeout = 86400;

Result<Access> access_for(const Args& args, const Surroundings& surroundings) {
  const auto chosen = [&](std::string_view option, const char* variable) {
    auto value = args.get(option);
    return value ? value : surroundings.environment(variable);
  };
  Access access;
  if (auto endpoint = chosen("os-endpoint-override", "COMPUTECTL_ENDPOINT"); endpoint && !endpoint->empty()) access.endpoint = *endpoint;
  if (auto token = chosen("os-token", "OS_TOKEN"); token && !token->empty()) access.token = *token;
  if (auto file = chosen("token-file", "COMPUTECTL_TOKEN_FILE"); file && !file->empty()) access.token_file = *file;
  access.debug = args.has("debug");
  if (const auto seconds = args.get("timeout")) {
    const double value = std::stod(*seconds);
    if (value <= 0 || value > kLongestTimeout) {
      return fail(Code::kInvalid, "--timeout " + *seconds + " is not within 0 and 86400 seconds", "give a number of seconds like 60");
    }
    access.timeout = Millis(std::max(1L, std::lround(value * 1000)));
  }
  return access;
}

int whole_number(const std::optional<std::string>& text) {
  const bool digits = text && !text->empty() && text->size() < 6 && text->find_first_not_of("0123456789") == std::string::npos;
  return digits ? std::stoi(*text) : 0;
}

FormatOptions format_for(const Args& args, const Surroundings& surroundings) {
  FormatOptions options;
  options.format = args.text("format", "table");
  options.columns = args.all("column");
  options.sort_columns = args.all("sort-column");
  options.sort_descending = args.has("sort-descending");
  options.quote = args.text("quote", "nonnumeric");
  options.noindent = args.has("noindent");
  options.prefix = args.text("prefix");
  const auto width = args.number("max-width");
  options.max_width = width ? static_cast<int>(std::clamp<std::int64_t>(*width, 0, 100000))
                            : whole_number(surroundings.environment("CLIFF_MAX_TERM_WIDTH"));
  options.fit_width = args.has("fit-width") || whole_number(surroundings.environment("CLIFF_FIT_WIDTH")) > 0;
  options.print_empty = args.has("print-empty");
  options.terminal_columns = surroundings.terminal_columns;
  options.to_terminal = surroundings.out_is_terminal;
  return options;
}

Result<void> run_command(const ParsedLine& parsed, const Surroundings& surroundings) {
  CA_TRY(Access access, access_for(parsed.args, surroundings));
  Api api(std::move(access), surroundings.err);
  Context context{.api = api,
                  .out = surroundings.out,
                  .err = surroundings.err,
                  .out_is_terminal = surroundings.out_is_terminal,
                  .err_is_terminal = surroundings.err_is_terminal,
                  .stdin_fd = surroundings.stdin_fd,
                  .sleep = surroundings.sleep};
  CA_TRY(Output output, parsed.command->run(context, parsed.args));
  return write_output(surroundings.out, std::move(output), format_for(parsed.args, surroundings));
}

}  // namespace

int run_app(const std::vector<std::string>& words, const Surroundings& surroundings) {
  const auto parsed = parse_line(words, all_commands());
  if (!parsed) {
    surroundings.err << escape_controls(parsed.error().text) << '\n';
    return kExitUsage;
  }
  if (parsed->kind == ParsedLine::Kind::kVersion) {
    surroundings.out << "computectl " COMPUTE_AGENT_VERSION "\n";
    return kExitDone;
  }
  if (parsed->kind == ParsedLine::Kind::kHelp) {
    surroundings.out << (parsed->command == nullptr ? global_help(all_commands()) : command_help(*parsed->command));
    return kExitDone;
  }
  if (const auto done = run_command(*parsed, surroundings); !done) {
    surroundings.out.flush();
    print_error(surroundings.err, done.error());
    return kExitFailed;
  }
  surroundings.out.flush();
  return surroundings.out ? kExitDone : kExitFailed;
}

}  // namespace ca::ctl
