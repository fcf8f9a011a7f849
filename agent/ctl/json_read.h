#pragma once
// Answers of the agent as JSON. Read with simdjson on demand: a list of 500 servers (0.9 MB) took 11 ms as a tree of
// nlohmann::json; only the members that a command prints become one now.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"
#include "agent/ctl/output.h"

namespace ca::ctl {

// kExternal when the text is no JSON or is nested too deep.
[[nodiscard]] Result<Json> read_json(std::string body);

struct Page {
  std::vector<Json> items;
  bool more = false;  // the answer has a link to a next page
};

// The array `member` of an object; of each element only `keys` (none: all of them). A key "image.id" keeps that member of the
// member alone.
[[nodiscard]] Result<Page> read_page(std::string body, std::string_view member, std::span<const std::string_view> keys = {});

}  // namespace ca::ctl
