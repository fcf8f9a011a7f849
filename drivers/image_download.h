#pragma once
// Images from a URL: an image's bytes over HTTP(S), a piece at a time. Boost.Beast rather than cpprestsdk's client, which reads a body
// into memory as fast as it comes. TLS certificates are checked against the system's store and the host's name.

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "agent/core/error.h"

namespace ca {

struct HttpUrl {
  bool tls = false;
  std::string host;  // name or address, without brackets
  std::uint16_t port = 80;
  std::string target;  // path and query, begins with '/'

  [[nodiscard]] std::string authority() const;  // as the Host header says it
};

// http and https only; no user name, no fragment, no control character or space. kInvalid says which.
[[nodiscard]] Result<HttpUrl> parse_http_url(const std::string& text);
// `location` of a redirect seen at `from`: absolute, or a path on the same host.
[[nodiscard]] Result<HttpUrl> resolve_http_url(const HttpUrl& from, const std::string& location);

struct ExpectedDigest {
  std::string algorithm;  // md5, sha1, sha256, sha512; empty: none is expected
  std::string hex;        // any case
};

struct DownloadLimits {
  std::int64_t max_bytes = 0;
  std::chrono::milliseconds stall{30'000};  // longest wait for a connection, a header or the next piece
  int redirects = 5;
  ExpectedDigest digest;
};

struct DownloadHooks {
  // Asked for the first URL and for each redirect; what it refuses is not contacted.
  std::function<Result<void>(const HttpUrl&)> allow;
  // Each piece in order. An error ends the download.
  std::function<Result<void>(std::span<const std::byte>)> piece;
};

// Blocking; on a worker. kInvalid (URL, answer), kTooLarge, kTimeout (stalled), kUnavailable (host not reached), kExternal (TLS, HTTP
// status other than 200, a body that breaks off), kInvalid (the digest differs), or what a hook answered.
[[nodiscard]] Result<void> http_download(const std::string& url, const DownloadLimits& limits, const DownloadHooks& hooks);

}  // namespace ca
