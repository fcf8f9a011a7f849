#include "drivers/image_download.h"

#include <fmt/format.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/algorithm/string/predicate.hpp>
#include <optional>
#include <vector>

#include "drivers/image/sources/digest.h"

namespace ca {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr std::size_t kPiece = 1 << 20;

// One connection. Every wait ends: beast's tcp_stream closes itself when `stall` passes.
class Connection {
 public:
  Connection(const HttpUrl& url, std::chrono::milliseconds stall) : url_(url), stall_(stall), tls_(asio::ssl::context::tls_client) {}

  Result<void> open();
  Result<void> send_request();
  // Where it redirects to, or empty: the body follows.
  Result<std::string> read_header(std::int64_t max_bytes);
  Result<void> read_body(std::int64_t max_bytes, const DownloadHooks& hooks);

 private:
  // Starts an operation, runs it to its end.
  template <typename Start>
  error_code run(const Start& start) {
    error_code outcome;
    beast::get_lowest_layer(*stream_).expires_after(stall_);
    start([&outcome](error_code error, auto&&...) { outcome = error; });
    context_.restart();
    context_.run();
    return outcome;
  }
  template <typename Buffers, typename Handler>
  void write(Buffers& message, Handler handler) {
    url_.tls ? http::async_write(*stream_, message, handler) : http::async_write(stream_->next_layer(), message, handler);
  }
  tl::unexpected<Error> failed(const error_code& error, const char* doing) const {
    const std::string where = fmt::format("{} {}", doing, url_.authority());
    if (error == beast::error::timeout) {
      return fail(Code::kTimeout, fmt::format("{}: nothing came for {} s", where, stall_.count() / 1000), "try again, or use another URL");
    }
    const bool network = error.category() == boost::system::system_category() || error.category() == asio::error::get_netdb_category();
    return fail(network ? Code::kUnavailable : Code::kExternal, fmt::format("{}: {}", where, error.message()),
                "check the URL from this host (curl -I)");
  }

  const HttpUrl& url_;
  const std::chrono::milliseconds stall_;
  asio::io_context context_;
  asio::ssl::context tls_;
  std::optional<beast::ssl_stream<beast::tcp_stream>> stream_;
  beast::flat_buffer buffer_;
  http::response_parser<http::buffer_body> parser_;
};

Result<void> Connection::open() {
  error_code error;
  tls_.set_default_verify_paths(error);
  if (error) return failed(error, "cannot read the system's certificates for");
  tls_.set_verify_mode(asio::ssl::verify_peer);
  stream_.emplace(context_, tls_);
  // Name resolution has bounds of its own (resolv.conf, timeout and attempts).
  const auto found = asio::ip::tcp::resolver(context_).resolve(url_.host, std::to_string(url_.port), error);
  if (error) return failed(error, "cannot find");
  error = run([&](auto handler) { beast::get_lowest_layer(*stream_).async_connect(found, handler); });
  if (error) return failed(error, "cannot connect to");
  if (!url_.tls) return {};
  if (SSL_set_tlsext_host_name(stream_->native_handle(), url_.host.c_str()) != 1) {
    return fail(Code::kInvalid, "TLS takes no host name '" + url_.host + "'");
  }
  stream_->set_verify_callback(asio::ssl::host_name_verification(url_.host));
  error = run([&](auto handler) { stream_->async_handshake(asio::ssl::stream_base::client, handler); });
  if (error) return failed(error, "no TLS with");
  return {};
}

Result<void> Connection::send_request() {
  http::request<http::empty_body> request(http::verb::get, url_.target, 11);
  request.set(http::field::host, url_.authority());
  request.set(http::field::user_agent, "compute-agent/" COMPUTE_AGENT_VERSION);
  request.set(http::field::accept, "*/*");
  request.set(http::field::connection, "close");
  const error_code error = run([&](auto handler) { write(request, handler); });
  if (error) return failed(error, "cannot ask");
  return {};
}

Result<std::string> Connection::read_header(std::int64_t max_bytes) {
  parser_.body_limit(static_cast<std::uint64_t>(max_bytes));
  const error_code error = run([&](auto handler) {
    url_.tls ? http::async_read_header(*stream_, buffer_, parser_, handler)
             : http::async_read_header(stream_->next_layer(), buffer_, parser_, handler);
  });
  if (error == http::error::body_limit)
    return fail(Code::kTooLarge, fmt::format("{} announces more than {} bytes", url_.authority(), max_bytes));
  if (error) return failed(error, "no answer from");
  const auto& answer = parser_.get();
  const unsigned status = answer.result_int();
  if (status >= 300 && status < 400 && !answer[http::field::location].empty()) return std::string(answer[http::field::location]);
  if (status != 200) {
    return fail(status == 404 ? Code::kNotFound : Code::kExternal,
                fmt::format("{} answers {} {} for {:.200}", url_.authority(), status, std::string(answer.reason()), url_.target),
                "check the URL from this host (curl -I)");
  }
  return std::string();
}

Result<void> Connection::read_body(std::int64_t max_bytes, const DownloadHooks& hooks) {
  std::vector<std::byte> piece(kPiece);
  while (!parser_.is_done()) {
    parser_.get().body().data = piece.data();
    parser_.get().body().size = piece.size();
    error_code error = run([&](auto handler) {
      url_.tls ? http::async_read(*stream_, buffer_, parser_, handler) : http::async_read(stream_->next_layer(), buffer_, parser_, handler);
    });
    if (error == http::error::need_buffer) error = {};
    if (error == http::error::body_limit)
      return fail(Code::kTooLarge, fmt::format("{} sends more than {} bytes", url_.authority(), max_bytes));
    if (error) return failed(error, "the body breaks off from");
    const std::size_t got = piece.size() - parser_.get().body().size;
    if (got > 0) CA_TRY_VOID(hooks.piece(std::span(piece).first(got)));
  }
  return {};
}

Result<void> follow(const std::string& text, const DownloadLimits& limits, const DownloadHooks& hooks) {
  CA_TRY(HttpUrl url, parse_http_url(text));
  for (int redirects = 0;; ++redirects) {
    CA_TRY_VOID(hooks.allow(url));
    Connection connection(url, limits.stall);
    CA_TRY_VOID(connection.open());
    CA_TRY_VOID(connection.send_request());
    CA_TRY(const std::string location, connection.read_header(limits.max_bytes));
    if (location.empty()) return connection.read_body(limits.max_bytes, hooks);
    if (redirects == limits.redirects) return fail(Code::kExternal, fmt::format("more than {} redirects", limits.redirects));
    CA_TRY(HttpUrl next, resolve_http_url(url, location));
    // What was asked for under TLS never comes without it.
    if (url.tls && !next.tls) return fail(Code::kUnsafe, "redirected from https to http", "give the final URL");
    url = std::move(next);
  }
}

}  // namespace

Result<void> http_download(const std::string& url, const DownloadLimits& limits, const DownloadHooks& hooks) {
  const ExpectedDigest& expected = limits.digest;
  CA_TRY(Digest digest, Digest::create(expected.algorithm.empty() ? "sha512" : expected.algorithm));
  DownloadHooks counted = hooks;
  if (!expected.algorithm.empty()) {
    counted.piece = [&](std::span<const std::byte> bytes) {
      digest.add(bytes);
      return hooks.piece(bytes);
    };
  }
  try {
    CA_TRY_VOID(follow(url, limits, counted));
  } catch (const std::exception& e) {
    return fail(Code::kExternal, fmt::format("the download failed: {}", e.what()));
  }
  if (expected.algorithm.empty()) return {};
  const std::string found = digest.hex();
  if (boost::algorithm::iequals(found, expected.hex)) return {};
  return fail(Code::kInvalid, fmt::format("its {} is {}, not {}", expected.algorithm, found, expected.hex),
              "check URL and checksum, then import again");
}

}  // namespace ca
