#pragma once
// Reads a record's members from JSON. Only for the *_json.cc files of this room.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/core/records_json.h"

namespace ca {

// Reads members of one object; remembers the first that was missing or of a wrong type.
class Reader {
 public:
  Reader(const Json& json, std::string_view what) : json_(json), what_(what) {
    if (!json.is_object()) error_ = fmt::format("{} is not an object", what);
  }

  template <typename T>
  Reader& get(const char* name, T& into) {
    if (!error_.empty()) return *this;
    const auto member = json_.find(name);
    if (member == json_.end() || member->is_null()) return *this;
    if (!read(*member, into)) error_ = fmt::format("{}.{} has a wrong type or value", what_, name);
    return *this;
  }

  template <typename T, typename Parse>
  Reader& parsed(const char* name, T& into, Parse parse) {
    std::string text;
    get(name, text);
    if (!error_.empty() || text.empty()) return *this;
    auto value = parse(text);
    if (!value) {
      error_ = fmt::format("{}.{}: {}", what_, name, value.error().message);
    } else {
      into = *value;
    }
    return *this;
  }

  template <typename T, typename FromJson>
  Reader& object(const char* name, T& into, FromJson from) {
    if (!error_.empty()) return *this;
    const auto member = json_.find(name);
    if (member == json_.end() || member->is_null()) return *this;
    auto value = from(*member);
    if (!value) {
      error_ = fmt::format("{}.{}: {}", what_, name, value.error().message);
    } else {
      into = *std::move(value);
    }
    return *this;
  }

  template <typename T, typename FromJson>
  Reader& list(const char* name, std::vector<T>& into, FromJson from) {
    if (!error_.empty()) return *this;
    const auto member = json_.find(name);
    if (member == json_.end() || member->is_null()) return *this;
    if (!member->is_array()) {
      error_ = fmt::format("{}.{} is not a list", what_, name);
      return *this;
    }
    into.clear();
    for (const Json& item : *member) {
      auto value = from(item);
      if (!value) {
        error_ = fmt::format("{}.{}: {}", what_, name, value.error().message);
        return *this;
      }
      into.push_back(*std::move(value));
    }
    return *this;
  }

  template <typename T>
  Result<T> done(T value) {
    if (!error_.empty()) return fail(Code::kInvalid, error_);
    return value;
  }

 private:
  static bool read(const Json& json, std::string& into) {
    if (!json.is_string()) return false;
    into = json.get_ref<const std::string&>();
    return true;
  }
  static bool read(const Json& json, std::int64_t& into) {
    if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX) return false;
    if (!json.is_number_integer()) return false;
    into = json.get<std::int64_t>();
    return true;
  }
  static bool read(const Json& json, int& into) {
    std::int64_t wide = 0;
    if (!read(json, wide) || wide < INT32_MIN || wide > INT32_MAX) return false;
    into = static_cast<int>(wide);
    return true;
  }
  static bool read(const Json& json, double& into) {
    if (!json.is_number()) return false;
    into = json.get<double>();
    return true;
  }
  static bool read(const Json& json, bool& into) {
    if (!json.is_boolean()) return false;
    into = json.get<bool>();
    return true;
  }
  static bool read(const Json& json, std::vector<std::string>& into) {
    if (!json.is_array()) return false;
    into.clear();
    for (const Json& item : json) {
      if (!item.is_string()) return false;
      into.push_back(item.get<std::string>());
    }
    return true;
  }
  static bool read(const Json& json, Properties& into) {
    if (!json.is_object()) return false;
    into.clear();
    for (const auto& [key, value] : json.items()) {
      if (!value.is_string()) return false;
      into[key] = value.get<std::string>();
    }
    return true;
  }

  const Json& json_;
  std::string_view what_;
  std::string error_;
};

template <typename Enum>
auto parser(std::initializer_list<Enum> values) {
  std::vector<Enum> all(values);
  return [all](const std::string& text) -> Result<Enum> {
    for (const Enum value : all) {
      if (to_string(value) == text) return value;
    }
    return fail(Code::kInvalid, fmt::format("'{}' is not known", text));
  };
}

template <typename T, typename ToJson>
Json list_json(const std::vector<T>& items, ToJson to) {
  Json all = Json::array();
  for (const T& item : items) all.push_back(to(item));
  return all;
}

}  // namespace ca
