#include "agent/config/host_defaults.h"

#include <charconv>
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <fstream>
#include <memory>
#include <sstream>

#include "agent/core/ids.h"

namespace ca {
namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

template <typename Pred>
bool all_of(std::string_view text, Pred pred) {
  return !text.empty() && std::ranges::all_of(text, pred);
}

// The interface of the default route with the lowest metric (proc(5), /proc/net/route).
std::string default_route_interface() {
  std::ifstream routes("/proc/net/route");
  std::string line, best;
  unsigned long best_metric = ULONG_MAX;
  std::getline(routes, line);
  while (std::getline(routes, line)) {
    std::istringstream fields(line);
    std::string name, destination, gateway, flags;
    unsigned long refs = 0, use = 0, metric = 0;
    if (!(fields >> name >> destination >> gateway >> flags >> refs >> use >> metric)) continue;
    if (destination == "00000000" && metric < best_metric) {
      best = name;
      best_metric = metric;
    }
  }
  return best;
}

}  // namespace

std::string default_host() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

std::string default_my_ip() {
  const std::string interface = default_route_interface();
  ifaddrs* list = nullptr;
  if (interface.empty() || ::getifaddrs(&list) != 0) return "127.0.0.1";
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET || interface != entry->ifa_name) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
    if (::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size()) != nullptr) return text.data();
  }
  return "127.0.0.1";
}

bool is_ip_address(std::string_view text) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  const std::string copy(text);
  return ::inet_pton(AF_INET, copy.c_str(), address.data()) == 1 || ::inet_pton(AF_INET6, copy.c_str(), address.data()) == 1;
}

bool is_host_name(std::string_view text) {
  return text.size() <= 253 && all_of(text, [](char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_'; }) &&
         is_alnum(text.front());
}

bool is_domain_or_empty(std::string_view text) { return text.empty() || is_host_name(text); }

bool is_uuid_or_empty(std::string_view text) { return text.empty() || is_uuid(text); }

bool is_clean_path(std::string_view text) {
  if (text.size() < 2 || text.size() > 4000 || text.front() != '/') return false;
  text.remove_prefix(1);
  while (true) {
    const auto slash = text.find('/');
    const std::string_view part = text.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.find('\n') != std::string_view::npos) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

bool is_clean_path_or_empty(std::string_view text) { return text.empty() || is_clean_path(text); }

std::string default_helper_path() { return COMPUTE_AGENT_HELPER_PATH; }

bool is_directory_name(std::string_view text) {
  return text.size() <= 200 && all_of(text, [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; }) &&
         text.front() != '.' && text != "locks";
}

bool is_uri(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) return false;
  return all_of(text.substr(0, colon), [](char c) { return is_alnum(c) || c == '+' || c == '-' || c == '.'; }) &&
         all_of(text, [](char c) { return c > ' '; });
}

bool is_word(std::string_view text) {
  return text.size() <= 200 && all_of(text, [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-' || c == ' '; });
}

bool is_cpu_flag(std::string_view text) {
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) text.remove_prefix(1);
  return is_word(text) && text.find(' ') == std::string_view::npos;
}

bool is_cache_mode(std::string_view text) {
  constexpr std::array<std::string_view, 4> kSources{"file", "block", "network", "mount"};
  constexpr std::array<std::string_view, 6> kModes{"default", "none", "writethrough", "writeback", "directsync", "unsafe"};
  const auto sign = text.find('=');
  return sign != std::string_view::npos && std::ranges::find(kSources, text.substr(0, sign)) != kSources.end() &&
         std::ranges::find(kModes, text.substr(sign + 1)) != kModes.end();
}

bool is_machine_choice(std::string_view text) {
  const auto sign = text.find('=');
  return sign != std::string_view::npos && is_word(text.substr(0, sign)) && is_word(text.substr(sign + 1));
}

}  // namespace ca
