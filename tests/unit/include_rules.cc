#include "tests/unit/include_rules.h"

#include <algorithm>
#include <regex>
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
  const bool foreign = std::ranges::any_of(libraries(), [&](const Library& library) {
    return any_starts(library.headers, header) && !any_fits(library.places, path);
  });
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

}  // namespace

std::vector<std::string> include_violations(const std::string& path, std::string_view text) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)"|(.*)).*$)re");
  std::vector<std::string> found;
  std::istringstream lines{std::string(text)};
  std::string line;
  while (std::getline(lines, line)) {
    std::smatch parts;
    if (line.find("include") == std::string::npos || !std::regex_match(line, parts, kInclude)) continue;
    std::string violation;
    if (parts[1].matched) {
      violation = library_violation(path, parts[1].str());
    } else if (parts[2].matched) {
      const std::string header = parts[2].str();
      const bool from_top = header.starts_with("agent/") || header.starts_with("drivers/") || header.starts_with("schemas/");
      violation = from_top ? arrow_violation(path, header) : library_violation(path, header);
      if (violation.empty() && !from_top) violation = path + " includes \"" + header + "\", which is not written from the tree's top";
    } else {
      violation = path + " includes by a macro, which no rule can read: " + line;
    }
    if (!violation.empty()) found.push_back(std::move(violation));
  }
  return found;
}

}  // namespace ca::test
