#include "agent/ctl/json_read.h"

#include <simdjson.h>

#include <algorithm>

namespace ca::ctl {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kMaxDepth = 64;

Json converted(const dom::element& element);

// The element's value; its type has been asked before.
template <typename Value>
Value as(const dom::element& element) {
  Value value{};
  return element.get(value) == simdjson::SUCCESS ? value : Value{};
}

Json converted(const dom::object& object, std::span<const std::string_view> keys) {
  Json out = Json::object();
  for (const dom::key_value_pair field : object) {
    if (keys.empty() || std::find(keys.begin(), keys.end(), field.key) != keys.end()) {
      out.emplace(field.key, converted(field.value));
    }
  }
  return out;
}

Json converted(const dom::element& element) {
  switch (element.type()) {
    case dom::element_type::OBJECT: return converted(as<dom::object>(element), {});
    case dom::element_type::ARRAY: {
      Json out = Json::array();
      const auto array = as<dom::array>(element);
      for (const dom::element item : array) out.push_back(converted(item));
      return out;
    }
    case dom::element_type::STRING: return std::string(as<std::string_view>(element));
    case dom::element_type::INT64: return as<std::int64_t>(element);
    case dom::element_type::UINT64: return as<std::uint64_t>(element);
    case dom::element_type::DOUBLE: return as<double>(element);
    case dom::element_type::BOOL: return as<bool>(element);
    case dom::element_type::NULL_VALUE: break;
  }
  return nullptr;
}

Result<dom::element> parse(dom::parser& parser, const std::string& body) {
  simdjson::error_code code = parser.allocate(body.size(), kMaxDepth);
  dom::element root;
  if (code == simdjson::SUCCESS) code = parser.parse(body).get(root);
  if (code == simdjson::SUCCESS) return root;
  return fail(Code::kExternal, std::string("the answer is not the JSON that was expected: ") + simdjson::error_message(code),
              "look whether the endpoint is a compute-agent (--os-endpoint-override), and of what version");
}

bool has_next(const dom::object& root, std::string_view member) {
  std::string_view next;
  if (root.at_key("next").get(next) == simdjson::SUCCESS) return true;  // Image API
  dom::array links;
  if (root.at_key(std::string(member) + "_links").get(links) != simdjson::SUCCESS) return false;
  return std::any_of(links.begin(), links.end(), [](const dom::element& link) {
    std::string_view rel;
    return link.at_key("rel").get(rel) == simdjson::SUCCESS && rel == "next";
  });
}

}  // namespace

Result<Json> read_json(const std::string& body) {
  dom::parser parser;
  CA_TRY(const dom::element root, parse(parser, body));
  return converted(root);
}

Result<Page> read_page(const std::string& body, std::string_view member, std::span<const std::string_view> keys) {
  dom::parser parser;
  CA_TRY(const dom::element root, parse(parser, body));
  dom::object object;
  dom::array array;
  if (root.get(object) != simdjson::SUCCESS || object.at_key(member).get(array) != simdjson::SUCCESS) {
    return fail(Code::kExternal, "the answer has no list '" + std::string(member) + "'",
                "look whether the endpoint is a compute-agent (--os-endpoint-override), and of what version");
  }
  Page page;
  page.items.reserve(array.size());
  for (const dom::element item : array) {
    dom::object record;
    if (item.get(record) == simdjson::SUCCESS) page.items.push_back(converted(record, keys));
  }
  page.more = has_next(object, member);
  return page;
}

}  // namespace ca::ctl
