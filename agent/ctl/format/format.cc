#include "agent/ctl/format/format.h"

#include <algorithm>
#include <ostream>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/format/writers.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

std::string names_text(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  for (const std::string& name : names) quoted.push_back("'" + name + "'");
  return join(quoted, ", ");
}

// Which of `all` are asked for, in the order of `all`.
Result<std::vector<std::size_t>> choose(const std::vector<std::string>& all, const std::vector<std::string>& wanted) {
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool repeated =
        std::find(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(i), all[i]) != all.begin() + static_cast<std::ptrdiff_t>(i);
    if (!repeated && (wanted.empty() || std::find(wanted.begin(), wanted.end(), all[i]) != wanted.end())) {
      chosen.push_back(i);
    }
  }
  if (chosen.empty() && !wanted.empty()) {
    return fail(Code::kInvalid,
                "No recognized column names in [" + names_text(wanted) + "]. Recognized columns are (" + names_text(all) + ")",
                "give -c a name from that list, written as it is there");
  }
  return chosen;
}

void sort_rows(Listing& listing, const FormatOptions& options) {
  for (auto name = options.sort_columns.rbegin(); name != options.sort_columns.rend(); ++name) {
    const auto found = std::find(listing.columns.begin(), listing.columns.end(), *name);
    if (found == listing.columns.end()) continue;
    const auto index = static_cast<std::size_t>(found - listing.columns.begin());
    const auto less = [index](const std::vector<Cell>& a, const std::vector<Cell>& b) {
      const Json& left = a[index].machine;
      const Json& right = b[index].machine;
      if (left.is_null() != right.is_null()) return right.is_null();
      return left < right;
    };
    if (options.sort_descending) {
      std::stable_sort(listing.rows.begin(), listing.rows.end(), [&less](const auto& a, const auto& b) { return less(b, a); });
    } else {
      std::stable_sort(listing.rows.begin(), listing.rows.end(), less);
    }
  }
}

Result<Listing> chosen_columns(Listing listing, const FormatOptions& options) {
  sort_rows(listing, options);
  CA_TRY(const auto chosen, choose(listing.columns, options.columns));
  if (chosen.size() == listing.columns.size()) return listing;
  Listing kept;
  for (const std::size_t i : chosen) kept.columns.push_back(listing.columns[i]);
  for (auto& row : listing.rows) {
    std::vector<Cell> cells;
    for (const std::size_t i : chosen) cells.push_back(std::move(row[i]));
    kept.rows.push_back(std::move(cells));
  }
  return kept;
}

Result<Details> chosen_columns(Details details, const FormatOptions& options) {
  CA_TRY(const auto chosen, choose(details.fields, options.columns));
  Details kept;
  for (const std::size_t i : chosen) kept.add(std::move(details.fields[i]), std::move(details.values[i]));
  return kept;
}

std::string text_of(const Listing& listing, const FormatOptions& options) {
  if (options.format == "json") return json_text(listing, options);
  if (options.format == "yaml") return yaml_text(listing);
  if (options.format == "csv") return csv_text(listing, options);
  if (options.format == "value") return value_text(listing);
  return table_text(listing, options);
}

std::string text_of(const Details& details, const FormatOptions& options) {
  if (options.format == "json") return json_text(details, options);
  if (options.format == "yaml") return yaml_text(details);
  if (options.format == "shell") return shell_text(details, options);
  if (options.format == "value") return value_text(details);
  return table_text(details, options);
}

template <typename Kind>
Result<void> write_kind(std::ostream& out, Kind kind, const FormatOptions& options) {
  CA_TRY(const Kind chosen, chosen_columns(std::move(kind), options));
  const std::string text = text_of(chosen, options);
  out << (options.to_terminal ? escape_controls(text) : text);
  out.flush();
  if (!out) return fail(Code::kIo, "cannot write the output", "look whether standard output is open and its disk has room");
  return {};
}

}  // namespace

Result<void> write_output(std::ostream& out, Output output, const FormatOptions& options) {
  if (auto* listing = std::get_if<Listing>(&output)) return write_kind(out, std::move(*listing), options);
  if (auto* details = std::get_if<Details>(&output)) return write_kind(out, std::move(*details), options);
  return {};
}

}  // namespace ca::ctl
