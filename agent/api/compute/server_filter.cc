#include "agent/api/compute/server_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <regex>
#include <set>

namespace ca {
namespace {

constexpr std::size_t kLongestPattern = 255;
constexpr std::int64_t kUs = 1'000'000;

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> all;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) all.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return all;
}

// A pattern comes from outside: no backtracking (libstdc++'s polynomial matcher), no counted repeats, which multiply its states.
Result<std::regex> pattern_of(const std::string& name, const std::string& text) {
  if (text.size() > kLongestPattern || text.find('{') != std::string::npos) {
    return fail(Code::kInvalid, fmt::format("Invalid filter {}: a pattern has at most {} characters and no '{{'", name, kLongestPattern));
  }
  try {
    return std::regex(text, std::regex::ECMAScript | std::regex::nosubs | std::regex_constants::__polynomial);
  } catch (const std::regex_error& e) {
    return fail(Code::kInvalid, fmt::format("Invalid filter {}: '{}' is no regular expression: {}", name, text, e.what()),
                "give a regular expression; '.' and '*' mean something in one");
  }
}

Result<bool> truth_of(const std::string& name, const std::string& text) {
  const std::string word = upper(text);
  if (word == "TRUE" || word == "1" || word == "YES" || word == "T") return true;
  if (word == "FALSE" || word == "0" || word == "NO" || word == "F") return false;
  return fail(Code::kInvalid, fmt::format("Invalid filter {}: '{}' is neither True nor False", name, text));
}

// ISO 8601: "2026-03-05", "2026-03-05T06:27:59", with fraction, with Z or an offset.
Result<std::int64_t> time_of(const std::string& name, const std::string& text) {
  const auto bad =
      fail(Code::kInvalid, fmt::format("Invalid filter {}: '{}' is no time", name, text), "give one like 2026-03-05T06:27:59Z");
  std::tm tm{};
  const char* at = ::strptime(text.c_str(), "%Y-%m-%d", &tm);
  if (at != nullptr && (*at == 'T' || *at == ' ')) at = ::strptime(at + 1, "%H:%M:%S", &tm);
  if (at == nullptr) return bad;
  if (*at == '.') {
    do ++at;
    while (*at >= '0' && *at <= '9');
  }
  std::int64_t offset = 0;
  if (*at == '+' || *at == '-') {
    int hours = 0;
    int minutes = 0;
    int used = 0;
    // NOLINTNEXTLINE(cert-err34-c): the widths bound both numbers
    if (std::sscanf(at + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2) return bad;
    offset = (*at == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    at += 1 + used;
  } else if (*at == 'Z') {
    ++at;
  }
  if (*at != '\0') return bad;
  return (std::int64_t{::timegm(&tm)} - offset) * kUs;
}

bool has_tag(const Instance& i, const std::string& tag) { return std::ranges::find(i.tags, tag) != i.tags.end(); }

using Filters = std::vector<ServerFilter>;

void add_texts(const ApiRequest& request, Filters& filters) {
  using Text = std::string (*)(const Instance&);
  constexpr std::array<std::pair<const char*, Text>, 11> kTexts{{
      {"uuid", [](const Instance& i) { return i.uuid; }},
      {"host", [](const Instance& i) { return i.host; }},
      {"image", [](const Instance& i) { return i.image.id; }},
      {"flavor", [](const Instance& i) { return i.flavor.id; }},
      {"availability_zone", [](const Instance& i) { return i.availability_zone; }},
      {"key_name", [](const Instance& i) { return i.key_name; }},
      {"reservation_id", [](const Instance& i) { return i.reservation_id; }},
      {"vm_state", [](const Instance& i) { return std::string(to_string(i.vm_state)); }},
      {"task_state", [](const Instance& i) { return std::string(to_string(i.task_state)); }},
      {"power_state", [](const Instance& i) { return std::to_string(static_cast<int>(i.power_state)); }},
      {"user_id", [](const Instance& i) { return i.user_id; }},
  }};
  for (const auto& [name, text] : kTexts) {
    if (const std::string wanted = request.query_or(name, ""); !wanted.empty()) {
      filters.emplace_back([text, wanted](const Instance& i) { return text(i) == wanted; });
    }
  }
  if (const std::string status = upper(request.query_or("status", "")); !status.empty()) {
    filters.emplace_back([status](const Instance& i) { return api_status(i.vm_state, i.task_state) == status; });
  }
}

Result<void> add_patterns(const Store& store, const ApiRequest& request, Filters& filters) {
  using Texts = std::function<std::vector<std::string>(const Instance&)>;
  const auto addresses = [&store](int version) {
    return [&store, version](const Instance& i) {
      std::vector<std::string> found;
      for (const Uuid& id : i.port_ids) {
        const auto port = store.get<Port>(id);
        if (!port) continue;
        for (const FixedIp& ip : port->fixed_ips) {
          if ((ip.ip_address.find(':') == std::string::npos ? 4 : 6) == version) found.push_back(ip.ip_address);
        }
      }
      return found;
    };
  };
  const std::array<std::pair<const char*, Texts>, 6> all{{
      {"name", [](const Instance& i) { return std::vector{i.name}; }},
      {"display_name", [](const Instance& i) { return std::vector{i.name}; }},
      {"instance_name", [](const Instance& i) { return std::vector{i.domain()}; }},
      {"hostname", [](const Instance& i) { return std::vector{i.hostname}; }},
      {"ip", addresses(4)},
      {"ip6", addresses(6)},
  }};
  for (const auto& [name, texts] : all) {
    const std::string given = request.query_or(name, "");
    if (given.empty()) continue;
    CA_TRY(const std::regex pattern, pattern_of(name, given));
    filters.emplace_back([pattern, texts = texts](const Instance& i) {
      return std::ranges::any_of(texts(i), [&](const std::string& text) { return std::regex_search(text, pattern); });
    });
  }
  return {};
}

void add_tags(const ApiRequest& request, Filters& filters) {
  struct Kind {
    const char* name;
    bool all, wanted;
  };
  for (const auto& [name, all, wanted] :
       {Kind{"tags", true, true}, Kind{"tags-any", false, true}, Kind{"not-tags", true, false}, Kind{"not-tags-any", false, false}}) {
    const std::vector<std::string> tags = words(request.query_or(name, ""));
    if (tags.empty()) continue;
    filters.emplace_back([tags, all = all, wanted = wanted](const Instance& i) {
      const auto has = [&](const std::string& tag) { return has_tag(i, tag); };
      return (all ? std::ranges::all_of(tags, has) : std::ranges::any_of(tags, has)) == wanted;
    });
  }
}

Result<void> add_moments_and_truths(const ApiRequest& request, Filters& filters) {
  if (const std::string text = request.query_or("changes-since", ""); !text.empty()) {
    CA_TRY(const std::int64_t since, time_of("changes-since", text));
    filters.emplace_back([since](const Instance& i) { return i.updated_us >= since; });
  }
  if (const std::string text = request.query_or("changes-before", ""); !text.empty()) {
    CA_TRY(const std::int64_t before, time_of("changes-before", text));
    filters.emplace_back([before](const Instance& i) { return i.updated_us <= before; });
  }
  if (const std::string text = request.query_or("locked", ""); !text.empty()) {
    CA_TRY(const bool locked, truth_of("locked", text));
    filters.emplace_back([locked](const Instance& i) { return i.locked == locked; });
  }
  if (const std::string text = request.query_or("deleted", ""); !text.empty()) {
    CA_TRY(const bool deleted, truth_of("deleted", text));
    // As nova, which counts those that wait to be reclaimed; records of the others are not kept.
    filters.emplace_back([deleted](const Instance& i) { return (i.vm_state == VmState::kSoftDeleted) == deleted; });
  }
  // nova: without being asked for, soft-deleted servers are not listed.
  const bool asked = request.query_or("deleted", "") != "" || request.query_or("status", "") != "" ||
                     request.query_or("vm_state", "") != "" || request.query_or("changes-since", "") != "" ||
                     request.query_or("uuid", "") != "";
  if (!asked) filters.emplace_back([](const Instance& i) { return i.vm_state != VmState::kSoftDeleted; });
  return {};
}

using Row = std::shared_ptr<const Instance>;
using Less = bool (*)(const Instance&, const Instance&);

struct SortKey {
  const char* name;
  Less less;
};
constexpr std::array<SortKey, 13> kSortKeys{{
    {"created_at", [](const Instance& a, const Instance& b) { return a.created_us < b.created_us; }},
    {"updated_at", [](const Instance& a, const Instance& b) { return a.updated_us < b.updated_us; }},
    {"launched_at", [](const Instance& a, const Instance& b) { return a.launched_us < b.launched_us; }},
    {"display_name", [](const Instance& a, const Instance& b) { return a.name < b.name; }},
    {"hostname", [](const Instance& a, const Instance& b) { return a.hostname < b.hostname; }},
    {"host", [](const Instance& a, const Instance& b) { return a.host < b.host; }},
    {"uuid", [](const Instance& a, const Instance& b) { return a.uuid < b.uuid; }},
    {"vm_state", [](const Instance& a, const Instance& b) { return to_string(a.vm_state) < to_string(b.vm_state); }},
    {"task_state", [](const Instance& a, const Instance& b) { return to_string(a.task_state) < to_string(b.task_state); }},
    {"power_state", [](const Instance& a, const Instance& b) { return a.power_state < b.power_state; }},
    {"image_ref", [](const Instance& a, const Instance& b) { return a.image.id < b.image.id; }},
    {"instance_type_id", [](const Instance& a, const Instance& b) { return a.flavor.id < b.flavor.id; }},
    {"key_name", [](const Instance& a, const Instance& b) { return a.key_name < b.key_name; }},
}};

std::string sort_key_names() {
  std::string names;
  for (const SortKey& key : kSortKeys) names += (names.empty() ? "" : ", ") + std::string(key.name);
  return names;
}

}  // namespace

Result<ServerFilter> server_filter(const Store& store, const ApiRequest& request) {
  Filters filters;
  add_texts(request, filters);
  CA_TRY_VOID(add_patterns(store, request, filters));
  add_tags(request, filters);
  CA_TRY_VOID(add_moments_and_truths(request, filters));
  return ServerFilter([filters = std::move(filters)](const Instance& i) {
    return std::ranges::all_of(filters, [&](const ServerFilter& filter) { return filter(i); });
  });
}

Result<void> sort_servers(const ApiRequest& request, std::vector<Row>& rows) {
  const std::string name = request.query_or("sort_key", "created_at");
  const auto key = std::ranges::find_if(kSortKeys, [&](const SortKey& k) { return name == k.name; });
  if (key == kSortKeys.end()) {
    return fail(Code::kInvalid, fmt::format("Invalid input for query parameters sort_key: '{}'", name), "sort by " + sort_key_names());
  }
  const std::string direction = request.query_or("sort_dir", "desc");
  if (direction != "asc" && direction != "desc") {
    return fail(Code::kInvalid, fmt::format("Invalid input for query parameters sort_dir: '{}'", direction), "give asc or desc");
  }
  std::ranges::sort(rows, [&](const Row& a, const Row& b) {
    const bool less = key->less(*a, *b);
    const bool more = key->less(*b, *a);
    if (less == more) return a->uuid < b->uuid;
    return direction == "asc" ? less : more;
  });
  return {};
}

}  // namespace ca
