// Tables as PrettyTable draws them for cliff. Cells are made safe for a terminal wherever they go: a table is for people.

#include <algorithm>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/format/writers.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

struct Column {
  std::string name;
  std::size_t width = 0;
  bool right = false;  // numbers
};

struct Grid {
  std::vector<Column> columns;
  std::vector<std::vector<std::vector<std::string>>> rows;  // row, column, line
};

std::vector<std::string> lines_of(const Cell& cell) {
  std::string text = cell.human ? *cell.human : python_str(cell.machine);
  if (text.find('\r') != std::string::npos || text.find('\t') != std::string::npos) {
    for (std::size_t at = text.find("\r\n"); at != std::string::npos; at = text.find("\r\n", at)) text.erase(at, 1);
    std::replace(text.begin(), text.end(), '\r', ' ');
    std::replace(text.begin(), text.end(), '\t', ' ');
  }
  return split_lines(escape_controls(text));
}

void measure(Grid& grid) {
  for (std::size_t i = 0; i < grid.columns.size(); ++i) {
    Column& column = grid.columns[i];
    column.width = display_width(column.name);
    for (const auto& row : grid.rows) {
      for (const std::string& line : row[i]) column.width = std::max(column.width, display_width(line));
    }
  }
}

// Which columns are over an equal share, and how wide they may be (cliff's _assign_max_widths): the width that the narrow
// ones leave is divided among the others, none below `min_width`.
void fit(Grid& grid, const FormatOptions& options, std::size_t min_width) {
  const int limit = options.max_width > 0 ? options.max_width : options.fit_width ? options.terminal_columns : 0;
  if (limit <= 0 || grid.columns.empty()) return;
  std::size_t total = 1;
  for (const Column& column : grid.columns) total += column.width + 3;
  if (total <= static_cast<std::size_t>(limit)) return;

  const long usable = std::max(0L, static_cast<long>(limit) - 1 - 3 * static_cast<long>(grid.columns.size()));
  const auto share = static_cast<std::size_t>(usable) / grid.columns.size();
  long left = usable;
  std::vector<std::size_t> shrink;
  for (std::size_t i = 0; i < grid.columns.size(); ++i) {
    if (grid.columns[i].width <= share) {
      left -= static_cast<long>(grid.columns[i].width);
    } else {
      shrink.push_back(i);
    }
  }
  const long each = left / static_cast<long>(std::max<std::size_t>(shrink.size(), 1));
  for (std::size_t n = 0; n < shrink.size(); ++n) {
    const bool last = n + 1 == shrink.size();
    const std::size_t width = std::max(min_width, static_cast<std::size_t>(std::max(0L, last ? left : each)));
    if (!last) left -= each;
    Column& column = grid.columns[shrink[n]];
    column.width = std::max(display_width(column.name), std::min(column.width, width));
    for (auto& row : grid.rows) {
      std::vector<std::string> wrapped;
      for (const std::string& line : row[shrink[n]]) {
        for (std::string& piece : wrap_line(line, width)) wrapped.push_back(std::move(piece));
      }
      row[shrink[n]] = std::move(wrapped);
    }
  }
}

void append_cell(std::string& out, std::string_view text, const Column& column) {
  const std::size_t used = display_width(text);
  const std::size_t space = column.width > used ? column.width - used : 0;
  out += ' ';
  if (column.right) out.append(space, ' ');
  out += text;
  if (!column.right) out.append(space, ' ');
  out += " |";
}

std::string draw(const Grid& grid) {
  std::string rule = "+";
  for (const Column& column : grid.columns) rule += std::string(column.width + 2, '-') + "+";
  rule += '\n';

  std::string out = rule + "|";
  out.reserve(rule.size() * (grid.rows.size() + 5));
  for (const Column& column : grid.columns) append_cell(out, column.name, column);
  out += '\n' + rule;
  for (const auto& row : grid.rows) {
    std::size_t height = 1;
    for (const auto& cell : row) height = std::max(height, cell.size());
    for (std::size_t line = 0; line < height; ++line) {
      out += '|';
      for (std::size_t i = 0; i < row.size(); ++i) {
        append_cell(out, line < row[i].size() ? std::string_view(row[i][line]) : std::string_view(), grid.columns[i]);
      }
      out += '\n';
    }
  }
  if (!grid.rows.empty()) out += rule;
  return out;
}

}  // namespace

std::string table_text(const Listing& listing, const FormatOptions& options) {
  if (listing.rows.empty() && !options.print_empty) return "\n";
  Grid grid;
  for (std::size_t i = 0; i < listing.columns.size(); ++i) {
    const bool numbers = !listing.rows.empty() && !listing.rows[0][i].human && listing.rows[0][i].machine.is_number();
    grid.columns.push_back({escape_controls(listing.columns[i]), 0, numbers});
  }
  for (const auto& row : listing.rows) {
    std::vector<std::vector<std::string>> cells;
    cells.reserve(row.size());
    for (const Cell& cell : row) cells.push_back(lines_of(cell));
    grid.rows.push_back(std::move(cells));
  }
  measure(grid);
  fit(grid, options, 8);
  return draw(grid);
}

std::string table_text(const Details& details, const FormatOptions& options) {
  if (details.fields.empty()) return "\n";
  Grid grid;
  grid.columns = {{"Field", 0, false}, {"Value", 0, false}};
  for (std::size_t i = 0; i < details.fields.size(); ++i) {
    grid.rows.push_back({{escape_controls(details.fields[i])}, lines_of(details.values[i])});
  }
  measure(grid);
  fit(grid, options, 16);
  return draw(grid);
}

}  // namespace ca::ctl
