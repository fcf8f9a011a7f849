#pragma once
// One writer per format; the columns are chosen and the rows sorted by the time they run.

#include "agent/ctl/format/format.h"

namespace ca::ctl {

[[nodiscard]] std::string table_text(const Listing& listing, const FormatOptions& options);
[[nodiscard]] std::string table_text(const Details& details, const FormatOptions& options);
[[nodiscard]] std::string json_text(const Listing& listing, const FormatOptions& options);
[[nodiscard]] std::string json_text(const Details& details, const FormatOptions& options);
[[nodiscard]] std::string yaml_text(const Listing& listing);
[[nodiscard]] std::string yaml_text(const Details& details);
[[nodiscard]] std::string csv_text(const Listing& listing, const FormatOptions& options);
[[nodiscard]] std::string value_text(const Listing& listing);
[[nodiscard]] std::string value_text(const Details& details);
[[nodiscard]] std::string shell_text(const Details& details, const FormatOptions& options);

}  // namespace ca::ctl
