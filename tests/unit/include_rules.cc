#include "tests/unit/include_rules.h"

#include <algorithm>
#include <optional>
#include <sstream>

namespace ca::test {
namespace {

// How well `place` fits `path`: characters, 0 for not at all.
std::size_t fit(std::string_view place, std::string_view path) {
  if (place.ends_with('*')) {
    const std::string_view folder = place.substr(0, place.size() - 1);
    return path.starts_with(folder) && path.find('/', folder.size()) == std::string_view::npos ? folder.size() : 0;
  }
  if (place.ends_with('/')) return path.starts_with(place) ? place.size() : 0;
  const auto dot = path.rfind('.');
  return path.substr(0, dot) == place ? place.size() : 0;
}

bool any_fits(const std::vector<std::string_view>& places, std::string_view path) {
  return std::ranges::any_of(places, [&](std::string_view place) { return fit(place, path) > 0; });
}

const Arrow* arrow_of(std::string_view path) {
  const Arrow* best = nullptr;
  std::size_t best_fit = 0;
  for (const Arrow& arrow : arrows()) {
    if (const std::size_t length = fit(arrow.from, path); length > best_fit) {
      best = &arrow;
      best_fit = length;
    }
  }
  return best;
}

bool starts_like(std::string_view header, std::string_view beginning) {
  // A whole name ("thread", "sqlite3.h") or a folder ("libvirt/...").
  if (!header.starts_with(beginning)) return false;
  return beginning.ends_with('/') || header.size() == beginning.size() || header[beginning.size()] == '.' ||
         header[beginning.size()] == '/' || header[beginning.size()] == '_';
}

bool any_starts(const std::vector<std::string_view>& beginnings, std::string_view header) {
  return std::ranges::any_of(beginnings, [&](std::string_view beginning) { return starts_like(header, beginning); });
}

std::string library_violation(const std::string& path, const std::string& header) {
  const bool foreign = std::ranges::any_of(
      libraries(), [&](const Library& library) { return any_starts(library.headers, header) && !any_fits(library.places, path); });
  const bool impure = any_fits(purity().places, path) && any_starts(purity().forbidden, header);
  return foreign || impure ? path + " includes <" + header + ">, which has no place there" : std::string();
}

std::string arrow_violation(const std::string& path, const std::string& header) {
  const Arrow* arrow = arrow_of(path);
  if (arrow == nullptr) return path + " is in a place that tests/unit/include_rules.h does not know";
  const Arrow* target = arrow_of(header);
  if (target == arrow || any_fits(arrow->to, header)) return {};
  return path + " includes \"" + header + "\": " + std::string(arrow->from) + " may not include it";
}

struct Include {
  char opening = 0;  // '<', '"', or 0 when the name comes from a macro
  std::string header;
};

// `#include` with white space wherever the preprocessor allows it.
std::optional<Include> include_of(std::string_view line) {
  const auto skip = [&] { line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size())); };
  const auto take = [&](std::string_view word) {
    skip();
    if (!line.starts_with(word)) return false;
    line.remove_prefix(word.size());
    return true;
  };
  if (!take("#") || !take("include")) return std::nullopt;
  skip();
  if (line.empty() || (line.front() != '<' && line.front() != '"')) return Include{0, std::string(line)};
  const char opening = line.front();
  line.remove_prefix(1);
  return Include{opening, std::string(line.substr(0, line.find(opening == '<' ? '>' : '"')))};
}

std::string violation_of(const std::string& path, const Include& include) {
  const std::string& header = include.header;
  if (include.opening == 0) return path + " includes by a macro, which no rule can read: " + header;
  if (include.opening == '<') return library_violation(path, header);
  if (header.starts_with("agent/") || header.starts_with("drivers/") || header.starts_with("schemas/")) {
    return arrow_violation(path, header);
  }
  const std::string foreign = library_violation(path, header);
  return foreign.empty() ? path + " includes \"" + header + "\", which is not written from the tree's top" : foreign;
}

}  // namespace

std::vector<std::string> include_violations(const std::string& path, std::string_view text) {
  std::vector<std::string> found;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const auto include = include_of(line);
    if (!include) continue;
    if (std::string violation = violation_of(path, *include); !violation.empty()) found.push_back(std::move(violation));
  }
  return found;
}

}  // namespace ca::test
