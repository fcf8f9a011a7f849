#pragma once
// Output in cliff's formats: table, json, yaml, csv (lists), value, shell (single things).

#include <iosfwd>
#include <string>
#include <vector>

#include "agent/core/error.h"
#include "agent/ctl/output.h"

namespace ca::ctl {

struct FormatOptions {
  std::string format = "table";
  std::vector<std::string> columns;       // -c; empty: all
  std::vector<std::string> sort_columns;  // first has priority; unknown ones are ignored
  bool sort_descending = false;
  std::string quote = "nonnumeric";  // csv: all, minimal, none, nonnumeric
  bool noindent = false;             // json
  std::string prefix;                // shell
  int max_width = 0;                 // table; 0: as wide as it gets
  bool fit_width = false;            // table: as wide as the terminal
  bool print_empty = false;          // table
  int terminal_columns = 0;          // 0: no terminal
  bool to_terminal = false;          // control characters are made visible
};

// Sorts, keeps the columns asked for and writes. kInvalid when none of the columns asked for exists.
[[nodiscard]] Result<void> write_output(std::ostream& out, Output output, const FormatOptions& options);

}  // namespace ca::ctl
