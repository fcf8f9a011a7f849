#include "agent/ctl/format/python_text.h"

#include <algorithm>
#include <cstdio>

#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

std::string quoted(const std::string& text) {
  const bool use_double = text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = use_double ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
  return escape_controls(out + quote);
}

std::string dict_text(const Json& object, const std::string& prefix) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : object.items()) {
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object()) {
      if (!value.empty()) parts.push_back(dict_text(value, name));
    } else if (value.is_null()) {
      parts.push_back(name + "=");
    } else {
      parts.push_back(name + "='" + python_str(value) + "'");
    }
  }
  return join(parts, ", ");
}

std::string list_text(const Json& array) {
  std::vector<std::string> parts;
  for (const Json& item : array) parts.push_back(python_str(item));
  std::sort(parts.begin(), parts.end());
  return join(parts, ", ");
}

Json object_or_empty(Json value) { return value.is_object() ? std::move(value) : Json::object(); }
Json array_or_empty(Json value) { return value.is_array() ? std::move(value) : Json::array(); }

}  // namespace

std::string python_repr(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return "None";
    case Json::value_t::boolean: return value.get<bool>() ? "True" : "False";
    case Json::value_t::string: return quoted(value.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<std::string> parts;
      for (const Json& item : value) parts.push_back(python_repr(item));
      return "[" + join(parts, ", ") + "]";
    }
    case Json::value_t::object: {
      std::vector<std::string> parts;
      for (const auto& [key, item] : value.items()) parts.push_back(quoted(key) + ": " + python_repr(item));
      return "{" + join(parts, ", ") + "}";
    }
    default: return value.dump();
  }
}

std::string python_str(const Json& value) { return value.is_string() ? value.get_ref<const std::string&>() : python_repr(value); }

Cell plain_cell(Json value) { return {std::move(value), std::nullopt}; }

Cell human_cell(Json machine, std::string human) { return {std::move(machine), std::move(human)}; }

Cell dict_cell(Json object) {
  Json value = object_or_empty(std::move(object));
  std::string human = dict_text(value, "");
  return {std::move(value), std::move(human)};
}

Cell list_cell(Json array) {
  Json value = array_or_empty(std::move(array));
  std::string human = list_text(value);
  return {std::move(value), std::move(human)};
}

Cell dict_of_lists_cell(Json object) {
  Json value = object_or_empty(std::move(object));
  std::vector<std::string> parts;
  for (const auto& [key, list] : value.items()) {
    if (list.is_array()) parts.push_back(key + "=" + list_text(list));
  }
  return {std::move(value), join(parts, "; ")};
}

Cell list_of_dicts_cell(Json array) {
  Json value = array_or_empty(std::move(array));
  std::vector<std::string> parts;
  for (const Json& item : value) parts.push_back(item.is_object() ? dict_text(item, "") : python_str(item));
  return {std::move(value), join(parts, "\n")};
}

Json member_or_empty(const Json& object, std::string_view name) {
  if (!object.is_object()) return "";
  const auto found = object.find(name);
  return found == object.end() ? Json("") : *found;
}

Json array_member(const Json& object, std::string_view name) { return array_or_empty(member_or_empty(object, name)); }

std::string text_member(const Json& object, std::string_view name) {
  const Json value = member_or_empty(object, name);
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : python_str(value);
}

}  // namespace ca::ctl
