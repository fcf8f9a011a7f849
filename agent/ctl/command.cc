#include "agent/ctl/command.h"

#include <algorithm>
#include <charconv>

#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

constexpr Option kGlobalOptions[] = {
    {.names = "-h --help", .help = "Show this help"},
    {.names = "--version", .help = "Show the version"},
    {.names = "--os-endpoint-override",
     .metavar = "<url>",
     .help = "Address of the agent (env COMPUTECTL_ENDPOINT; default http://127.0.0.1:8774)"},
    {.names = "--os-token", .metavar = "<token>", .help = "Token (env OS_TOKEN; default: what the token file holds)"},
    {.names = "--token-file",
     .metavar = "<file>",
     .help = "File with the token (env COMPUTECTL_TOKEN_FILE; default /var/lib/compute-agent/token)"},
    {.names = "--timeout",
     .metavar = "<seconds>",
     .help = "Longest wait for an answer, or for an upload to move on (default 60)",
     .type = ArgType::kFloat},
    {.names = "--debug", .help = "Show requests and answers on standard error, the token masked"},
};

#define CTL_FORMAT_OPTIONS(choices_text)                                                                                         \
  {.names = "-f --format", .metavar = "<format>", .help = "Output format; default table", .choices = choices_text},              \
      {.names = "-c --column", .metavar = "<column>", .help = "Show this column only (repeat option for more)", .repeat = true}, \
      {.names = "--noindent", .help = "json: all on one line"},                                                                  \
      {.names = "--max-width",                                                                                                   \
       .metavar = "<integer>",                                                                                                   \
       .help = "table: at most this many columns wide (env CLIFF_MAX_TERM_WIDTH)",                                               \
       .type = ArgType::kInt},                                                                                                   \
      {.names = "--fit-width", .help = "table: fit to the terminal's width (env CLIFF_FIT_WIDTH=1)"}, {                          \
    .names = "--print-empty", .help = "table: draw it even when there is nothing to show"                                        \
  }

constexpr Option kListFormatOptions[] = {
    CTL_FORMAT_OPTIONS("csv json table value yaml"),
    {.names = "--quote",
     .metavar = "<mode>",
     .help = "csv: what to put in quotes; default nonnumeric",
     .choices = "all minimal none nonnumeric"},
    {.names = "--sort-column",
     .metavar = "<column>",
     .help = "Sort by this column (repeat option for more; the first has priority)",
     .repeat = true},
    {.names = "--sort-ascending", .help = "Sort upwards (default)", .exclusive = "sort"},
    {.names = "--sort-descending", .help = "Sort downwards", .exclusive = "sort"},
};

constexpr Option kShowFormatOptions[] = {
    CTL_FORMAT_OPTIONS("json shell table value yaml"),
    {.names = "--prefix", .metavar = "<prefix>", .help = "shell: put this before each variable's name"},
};

#undef CTL_FORMAT_OPTIONS

}  // namespace

bool Args::has(std::string_view name) const {
  return std::any_of(given_.begin(), given_.end(), [name](const Given& one) { return one.name == name; });
}

std::optional<std::string> Args::get(std::string_view name) const {
  const auto found = std::find_if(given_.rbegin(), given_.rend(), [name](const Given& one) { return one.name == name; });
  return found == given_.rend() ? std::nullopt : std::optional(found->value);
}

std::string Args::text(std::string_view name, std::string_view fallback) const { return get(name).value_or(std::string(fallback)); }

std::optional<std::int64_t> Args::number(std::string_view name) const {
  const auto value = get(name);
  std::int64_t number = 0;
  if (!value || std::from_chars(value->data(), value->data() + value->size(), number).ec != std::errc{}) return std::nullopt;
  return number;
}

std::vector<std::string> Args::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const Given& one : given_) {
    if (one.name == name) values.push_back(one.value);
  }
  return values;
}

std::vector<std::pair<std::string, std::string>> Args::pairs(std::string_view name) const {
  std::vector<std::pair<std::string, std::string>> result;
  for (const std::string& value : all(name)) {
    const std::size_t equals = std::min(value.find('='), value.size() - 1);
    const std::string key = value.substr(0, equals);
    std::erase_if(result, [&key](const auto& pair) { return pair.first == key; });
    result.emplace_back(key, value.substr(equals + 1));
  }
  return result;
}

std::string_view option_key(const Option& option) {
  for (const std::string_view name : split_words(option.names)) {
    if (name.starts_with("--")) return name.substr(2);
  }
  return option.names.substr(1);
}

std::span<const Option> global_options() { return kGlobalOptions; }

std::span<const Option> format_options(Display display) {
  switch (display) {
    case Display::kList: return kListFormatOptions;
    case Display::kShow: return kShowFormatOptions;
    case Display::kNone: break;
  }
  return {};
}

}  // namespace ca::ctl
