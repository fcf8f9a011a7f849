#include <fmt/format.h>

#include "agent/verbs/verb_table.h"
#include "drivers/files/instance_dir.h"

namespace ca {
namespace {

constexpr std::size_t kLargestTail = 1 << 20;

// The last `lines` lines of `text`; a last line without newline counts.
std::string last_lines(const std::string& text, std::int64_t lines) {
  if (lines == 0) return {};
  std::size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  while (at > 0) {
    const std::size_t newline = text.rfind('\n', at - 1);
    if (newline == std::string::npos) return text;
    if (--lines == 0) return text.substr(newline + 1);
    at = newline;
  }
  return text;
}

}  // namespace

Result<Json> get_console_output(Services& s, const Message& message) {
  const Uuid uuid = message.args.at("instance").at("uuid").get<std::string>();
  if (!s.store.get<Instance>(uuid)) return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", uuid));
  CA_TRY(const std::string text, read_tail(s.paths.console_log(uuid), kLargestTail));
  const auto length = message.args.find("tail_length");
  const std::int64_t lines = length != message.args.end() && length->is_number() ? length->get<std::int64_t>() : -1;
  return Json{{"output", lines < 0 ? text : last_lines(text, lines)}};
}

}  // namespace ca
