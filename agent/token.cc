#include "agent/token.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "agent/core/ids.h"
#include "drivers/files/durable_file.h"
#include "drivers/files/instance_dir.h"

namespace ca {

Result<std::string> load_or_make_token(const std::string& path) {
  CA_TRY(const bool exists, regular_file_exists(path));
  if (!exists) {
    const std::string token = new_message_id() + new_message_id();
    CA_TRY_VOID(write_text_file(path, token + "\n", 0600));
    return token;
  }
  CA_TRY(const OpenedFile file, open_regular(path));
  if ((file.info.st_mode & 0077) != 0) {
    return fail(Code::kForbidden, fmt::format("token file {} can be read by others (mode {:o})", path, file.info.st_mode & 0777),
                "chmod 0600 " + path);
  }
  CA_TRY(std::string token, read_tail(path, 4096));
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  if (token.size() < 16)
    return fail(Code::kInvalid, fmt::format("token file {} holds no token of 16 characters or more", path), "remove it; a new one is made");
  return token;
}

}  // namespace ca
