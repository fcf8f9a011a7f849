#include "drivers/image_download.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace ca {
namespace {

constexpr std::size_t kLongest = 2048;

Result<void> split_authority(std::string authority, HttpUrl& url) {
  if (authority.find('@') != std::string::npos) return fail(Code::kInvalid, "a URL with a user name in it is not taken");
  std::string port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string::npos) return fail(Code::kInvalid, "the URL's IPv6 address has no ']'");
    url.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string::npos) port = authority.substr(colon);
  }
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' || c == '_';
  };
  if (url.host.empty() || url.host.size() > 253 || !std::ranges::all_of(url.host, allowed)) {
    return fail(Code::kInvalid, fmt::format("'{:.80}' is no host name or address", url.host));
  }
  url.port = url.tls ? 443 : 80;
  if (port.empty()) return {};
  const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), url.port);
  if (port.front() != ':' || error != std::errc{} || end != port.data() + port.size() || url.port == 0) {
    return fail(Code::kInvalid, fmt::format("'{:.80}' is no port", port));
  }
  return {};
}

}  // namespace

std::string HttpUrl::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (tls ? 443 : 80) ? name : fmt::format("{}:{}", name, port);
}

Result<HttpUrl> parse_http_url(const std::string& text) {
  if (text.size() > kLongest) return fail(Code::kInvalid, fmt::format("a URL of {} bytes; at most {} are taken", text.size(), kLongest));
  if (std::ranges::any_of(text, [](unsigned char c) { return c <= 0x20 || c >= 0x7f; })) {
    return fail(Code::kInvalid, "the URL has a space, a control character or one that is not ASCII", "percent-encode it");
  }
  HttpUrl url;
  std::string_view rest = text;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else {
    return fail(Code::kInvalid, fmt::format("'{:.80}' is no http:// or https:// URL", text));
  }
  rest = rest.substr(0, rest.find('#'));
  const auto path = rest.find_first_of("/?");
  CA_TRY_VOID(split_authority(std::string(rest.substr(0, path)), url));
  url.target = path == std::string_view::npos ? "/" : std::string(rest.substr(path));
  if (url.target.front() == '?') url.target.insert(0, "/");
  return url;
}

Result<HttpUrl> resolve_http_url(const HttpUrl& from, const std::string& location) {
  if (!location.starts_with('/') || location.starts_with("//")) return parse_http_url(location);
  return parse_http_url(fmt::format("{}://{}{}", from.tls ? "https" : "http", from.authority(), location));
}

}  // namespace ca
