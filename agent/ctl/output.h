#pragma once
// What a command hands to the formatters. A cell has a machine form (json, yaml, csv, value, shell) and, where a person reads
// better something else, a human form (table), as cliff's FormattableColumn.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace ca::ctl {

using Json = nlohmann::json;

struct Cell {
  Json machine;
  std::optional<std::string> human;  // none: the machine form as Python's str() prints it
};

// Many things, one per row.
struct Listing {
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
};

// One thing: field by field.
struct Details {
  std::vector<std::string> fields;
  std::vector<Cell> values;

  void add(std::string field, Cell value) {
    fields.push_back(std::move(field));
    values.push_back(std::move(value));
  }
};

using Output = std::variant<std::monostate, Listing, Details>;

}  // namespace ca::ctl
