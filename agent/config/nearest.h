#pragma once
// The nearest known name, for a word that is not known.

#include <string_view>
#include <vector>

namespace ca {

// Letters inserted, dropped, changed or swapped with their neighbour (optimal string alignment).
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);
// The word of `known` with the smallest distance, the first of equals; empty when `known` is empty.
[[nodiscard]] std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace ca
