#pragma once
// What the agent and its helper say to each other: one JSON object a line. First the options, answered by the version; then requests
// {"id", "call", "args"}, each answered by {"id", "result"} or {"id", "error"}, in any order.

#include <nlohmann/json.hpp>
#include <string>

#include "drivers/disk/rbd/rbd_module.h"

namespace ca::rbd {

using Json = nlohmann::json;
inline constexpr std::size_t kMostLine = 8 << 20;

[[nodiscard]] Json to_json(const RbdOptions& options);
[[nodiscard]] RbdOptions options_from(const Json& json);  // throws Json::exception
[[nodiscard]] Json to_json(const Error& error);
[[nodiscard]] Error error_from(const Json& json);  // throws Json::exception

// Lines out of a stream of bytes.
class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}
  // False: the stream ended, or a line was too long.
  bool next(std::string& line);

 private:
  int fd_;
  std::string buffer_;
};
// The whole line or false.
[[nodiscard]] bool write_line(int fd, const Json& json);

}  // namespace ca::rbd
