#include "agent/ctl/json_read.h"

#include <simdjson.h>

#include <algorithm>

namespace ca::ctl {
namespace {

namespace ondemand = simdjson::ondemand;

using Keys = std::vector<std::string_view>;

constexpr int kMaxDepth = 64;

tl::unexpected<Error> malformed(std::string_view why) {
  return fail(Code::kExternal, "the answer is not the JSON that was expected: " + std::string(why),
              "look whether the endpoint is a compute-agent (--os-endpoint-override), and of what version");
}

tl::unexpected<Error> malformed(simdjson::error_code code) { return malformed(simdjson::error_message(code)); }

// Of `keys`, those below `name`, without it. `whole` says that `name` itself is among them.
Keys below(const Keys& keys, std::string_view name, bool& whole) {
  Keys inner;
  for (const std::string_view key : keys) {
    if (key == name) whole = true;
    if (key.size() > name.size() && key[name.size()] == '.' && key.starts_with(name)) inner.push_back(key.substr(name.size() + 1));
  }
  return inner;
}

// The functions below write into `out`, so that a value is made where it stays.
simdjson::error_code read_value(ondemand::value value, Json& out, const Keys& keys, int depth);

simdjson::error_code read_object(ondemand::object object, Json& out, const Keys& keys, int depth) {
  out = Json::object();
  for (auto field : object) {
    std::string_view name;
    if (const auto code = field.unescaped_key().get(name)) return code;
    bool whole = keys.empty();
    const Keys inner = whole ? Keys() : below(keys, name, whole);
    if (!whole && inner.empty()) continue;
    Json& member = out[std::string(name)];
    ondemand::value value;
    if (const auto code = field.value().get(value)) return code;
    if (const auto code = read_value(value, member, whole ? Keys() : inner, depth + 1)) return code;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code read_array(ondemand::array array, Json& out, int depth) {
  out = Json::array();
  for (auto item : array) {
    ondemand::value value;
    if (const auto code = item.get(value)) return code;
    if (const auto code = read_value(value, out.emplace_back(), {}, depth + 1)) return code;
  }
  return simdjson::SUCCESS;
}

template <typename Number>
simdjson::error_code read_number(ondemand::value value, Json& out) {
  Number number{};
  const auto code = value.get(number);
  out = number;
  return code;
}

simdjson::error_code read_any_number(ondemand::value value, Json& out) {
  ondemand::number_type type{};
  if (const auto code = value.get_number_type().get(type)) return code;
  switch (type) {
    case ondemand::number_type::signed_integer: return read_number<std::int64_t>(value, out);
    case ondemand::number_type::unsigned_integer: return read_number<std::uint64_t>(value, out);
    default: return read_number<double>(value, out);
  }
}

simdjson::error_code read_value(ondemand::value value, Json& out, const Keys& keys, int depth) {
  if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
  ondemand::json_type type{};
  if (const auto code = value.type().get(type)) return code;
  switch (type) {
    case ondemand::json_type::object: {
      ondemand::object object;
      const auto code = value.get_object().get(object);
      return code ? code : read_object(object, out, keys, depth);
    }
    case ondemand::json_type::array: {
      ondemand::array array;
      const auto code = value.get_array().get(array);
      return code ? code : read_array(array, out, depth);
    }
    case ondemand::json_type::string: {
      std::string_view text;
      const auto code = value.get_string().get(text);
      out = text;
      return code;
    }
    case ondemand::json_type::number: return read_any_number(value, out);
    case ondemand::json_type::boolean: {
      bool flag = false;
      const auto code = value.get_bool().get(flag);
      out = flag;
      return code;
    }
    case ondemand::json_type::null: break;
  }
  out = nullptr;
  bool null = false;
  const auto code = value.is_null().get(null);
  return code || null ? code : simdjson::N_ATOM_ERROR;
}

simdjson::error_code read_items(ondemand::array array, std::vector<Json>& items, const Keys& keys) {
  for (auto item : array) {
    ondemand::value value;
    if (const auto code = item.get(value)) return code;
    if (const auto code = read_value(value, items.emplace_back(), keys, 1)) return code;
    if (!items.back().is_object()) items.pop_back();
  }
  return simdjson::SUCCESS;
}

bool has_next(const Json& links) {
  return links.is_array() &&
         std::any_of(links.begin(), links.end(), [](const Json& link) { return link.is_object() && link.value("rel", Json()) == "next"; });
}

}  // namespace

Result<Json> read_json(std::string body) {
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  ondemand::parser parser;
  ondemand::document document;
  if (const auto code = parser.iterate(body).get(document)) return malformed(code);
  ondemand::value value;
  if (document.get_value().get(value) != simdjson::SUCCESS) return malformed("neither an object nor a list");
  Json out;
  if (const auto code = read_value(value, out, {}, 0)) return malformed(code);
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return malformed("text follows it");
  return out;
}

Result<Page> read_page(std::string body, std::string_view member, std::span<const std::string_view> keys) {
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object root;
  if (const auto code = parser.iterate(body).get(document)) return malformed(code);
  if (const auto code = document.get_object().get(root)) return malformed(code);
  const std::string links_name = std::string(member) + "_links";
  const Keys wanted(keys.begin(), keys.end());
  Page page;
  bool found = false;
  for (auto field : root) {
    std::string_view name;
    if (const auto code = field.unescaped_key().get(name)) return malformed(code);
    if (name == member) {
      ondemand::array array;
      if (field.value().get_array().get(array) != simdjson::SUCCESS) break;
      if (const auto code = read_items(array, page.items, wanted)) return malformed(code);
      found = true;
    } else if (name == links_name || name == "next") {
      ondemand::value value;
      Json link;
      if (const auto code = field.value().get(value)) return malformed(code);
      if (const auto code = read_value(value, link, {}, 1)) return malformed(code);
      page.more = page.more || link.is_string() || has_next(link);
    }
  }
  if (!found) return malformed("it has no list '" + std::string(member) + "'");
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return malformed("text follows it");
  return page;
}

}  // namespace ca::ctl
