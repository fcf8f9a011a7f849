#include "drivers/image/inspector/vmdk_descriptor.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "drivers/image/inspector/bytes.h"

namespace ca::inspector {
namespace {

constexpr std::string_view kBlank = " \t\r";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// VMware reads keys and words in any case.
std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

bool is_key(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == '/' || c == '[' || c == ']';
  });
}

// Without surrounding quotes.
std::string_view unquote(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
  return text;
}

struct Seen {
  std::optional<std::string> create_type;
  int extents = 0;
};

// RW 2048 SPARSE "disk.vmdk"
Result<void> check_extent(std::string_view line, int number) {
  std::vector<std::string> words;
  std::string_view rest = line;
  while (words.size() < 3 && !rest.empty()) {
    const auto end = rest.find_first_of(kBlank);
    words.push_back(lower(rest.substr(0, end)));
    rest = end == std::string_view::npos ? std::string_view{} : trim(rest.substr(end));
  }
  const bool sized = words.size() == 3 && !words[1].empty() && words[1].find_first_not_of("0123456789") == std::string::npos;
  if (!sized) return refuse("line {} of its descriptor is not a valid extent", number);
  if (words[2] != "sparse") return refuse("line {} of its descriptor has an extent that is not SPARSE: it refers to another file", number);
  if (rest.size() < 3 || rest.front() != '"' || rest.back() != '"')
    return refuse("line {} of its descriptor has an extent without a quoted name", number);
  const auto name = unquote(rest);
  if (name.find_first_of("/\\\":") != std::string_view::npos || name == "..") {
    return refuse("line {} of its descriptor has an extent with a path: it refers to another file", number);
  }
  return {};
}

Result<void> check_assignment(const std::string& key, std::string_view value, int number, Seen& seen) {
  if (key == "createtype") {
    if (seen.create_type) return refuse("line {} of its descriptor gives createType again", number);
    seen.create_type = lower(unquote(value));
  } else if (key == "parentfilenamehint") {
    return refuse("line {} of its descriptor names a parent image", number);
  } else if (key == "parentcid" && lower(unquote(value)) != "ffffffff") {
    return refuse("line {} of its descriptor has a parentCID: it depends on a parent image", number);
  }
  return {};
}

Result<void> check_line(std::string_view line, int number, Seen& seen) {
  if (line.empty() || line.front() == '#') return {};
  const std::string word = lower(line.substr(0, line.find_first_of(" \t=")));
  if (word == "rw" || word == "rdonly" || word == "noaccess") {
    ++seen.extents;
    return check_extent(line, number);
  }
  const auto equals = line.find('=');
  const std::string key = lower(trim(line.substr(0, equals)));
  if (equals == std::string_view::npos || !is_key(key)) return refuse("line {} of its descriptor makes no sense", number);
  return check_assignment(key, trim(line.substr(equals + 1)), number, seen);
}

}  // namespace

Result<void> check_vmdk_descriptor(std::string_view text) {
  const auto end = text.find('\0');
  if (end != std::string_view::npos) {
    if (text.find_first_not_of('\0', end) != std::string_view::npos) return refuse("its descriptor goes on after its end");
    text = text.substr(0, end);
  }
  const bool plain = std::ranges::all_of(text, [](char c) { return (c >= ' ' && c <= '~') || c == '\t' || c == '\r' || c == '\n'; });
  if (!plain) return refuse("its descriptor is not ASCII text");
  Seen seen;
  for (int number = 1; !text.empty(); ++number) {
    const auto newline = text.find('\n');
    CA_TRY_VOID(check_line(trim(text.substr(0, newline)), number, seen));
    text = newline == std::string_view::npos ? std::string_view{} : text.substr(newline + 1);
  }
  if (!seen.create_type) return refuse("its descriptor has no createType");
  if (*seen.create_type != "monolithicsparse" && *seen.create_type != "streamoptimized") {
    return refuse("its createType is \"{:.32}\"; only monolithicSparse and streamOptimized hold all data in one file", *seen.create_type);
  }
  if (seen.extents != 1) return refuse("its descriptor has {} extents, not one", seen.extents);
  return {};
}

}  // namespace ca::inspector
