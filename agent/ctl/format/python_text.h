#pragma once
// Values as python-openstackclient prints them: None, True, 1.0, {'a': ['b']}, key='value'.

#include "agent/ctl/output.h"

namespace ca::ctl {

// str(value): strings bare, the rest as repr.
[[nodiscard]] std::string python_str(const Json& value);
[[nodiscard]] std::string python_repr(const Json& value);

// osc_lib's columns. Null or a missing value counts as empty.
[[nodiscard]] Cell plain_cell(Json value);
[[nodiscard]] Cell human_cell(Json machine, std::string human);
[[nodiscard]] Cell dict_cell(Json object);           // a='1', b='x'
[[nodiscard]] Cell list_cell(Json array);            // a, b
[[nodiscard]] Cell dict_of_lists_cell(Json object);  // net=10.0.0.5, fd00::5; other=10.1.0.7
[[nodiscard]] Cell list_of_dicts_cell(Json array);   // one dict a line

// The member of an object; '' where it is missing, as getattr(item, name, '').
[[nodiscard]] Json member_or_empty(const Json& object, std::string_view name);
[[nodiscard]] Json array_member(const Json& object, std::string_view name);  // [] where it is missing or none
[[nodiscard]] std::string text_member(const Json& object, std::string_view name);

}  // namespace ca::ctl
