#include "agent/ctl/http_client.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <limits>
#include <vector>

#include "agent/ctl/tcp_stream.h"

namespace ca::ctl {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::uint64_t kMaxAnswer = 256ULL << 20U;
constexpr std::uint32_t kMaxAnswerHeader = 64U << 10U;
constexpr std::size_t kDownloadChunk = 256U << 10U;
constexpr std::size_t kReadAhead = 128U << 10U;
// Room behind the body that the JSON reader wants, so that it need not copy it.
constexpr std::size_t kReaderPadding = 64;
// After the last byte of an image the agent still has to sync and inspect it.
constexpr int kUploadAnswerFactor = 10;

bool clean(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c != 0x7F; });
}

template <typename Body>
HttpResponse response_of(const http::response<Body>& message) {
  HttpResponse response;
  response.status = static_cast<int>(message.result_int());
  response.content_type = std::string(message[http::field::content_type]);
  response.request_id = std::string(message["x-openstack-request-id"]);
  if (response.request_id.empty()) response.request_id = std::string(message["x-compute-request-id"]);
  return response;
}

std::string seconds_text(Millis time) {
  const auto tenths = time.count() / 100;
  return std::to_string(tenths / 10) + (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10)) + " s";
}

}  // namespace

std::string Endpoint::url() const {
  const std::string shown = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return "http://" + shown + ":" + port + prefix;
}

Result<Endpoint> Endpoint::parse(std::string_view url) {
  const std::string shown(url);
  const auto invalid = [&shown](const std::string& why) {
    return fail(Code::kInvalid, "the endpoint '" + shown + "' " + why, "give it as http://HOST:PORT, for instance http://127.0.0.1:8774");
  };
  if (url.starts_with("https://")) return invalid("asks for TLS, which computectl does not speak");
  if (!url.starts_with("http://")) return invalid("does not start with http://");
  url.remove_prefix(7);
  Endpoint endpoint;
  const std::size_t slash = std::min(url.find('/'), url.size());
  endpoint.prefix = std::string(url.substr(slash));
  while (endpoint.prefix.ends_with('/')) endpoint.prefix.pop_back();
  std::string_view authority = url.substr(0, slash);
  endpoint.port = "8774";
  std::size_t host_end = authority.find(':');
  if (authority.starts_with('[')) {
    const std::size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return invalid("has no ] after the address");
    endpoint.host = std::string(authority.substr(1, bracket - 1));
    authority.remove_prefix(bracket + 1);
    host_end = 0;
  } else {
    host_end = std::min(host_end, authority.size());
    endpoint.host = std::string(authority.substr(0, host_end));
  }
  if (host_end < authority.size()) {
    if (authority[host_end] != ':') return invalid("has something else than a port after the address");
    endpoint.port = std::string(authority.substr(host_end + 1));
  }
  const bool digits =
      !endpoint.port.empty() && endpoint.port.size() <= 5 && endpoint.port.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoi(endpoint.port) < 1 || std::stoi(endpoint.port) > 65535) return invalid("has no port of 1 to 65535");
  if (endpoint.host.empty() || endpoint.host.find_first_of(" @?#%") != std::string::npos || !clean(endpoint.host)) {
    return invalid("has no usable host");
  }
  if (!clean(endpoint.prefix) || endpoint.prefix.find_first_of(" ?#") != std::string::npos) return invalid("has a bad path");
  return endpoint;
}

// The kept connection.
class HttpClient::Connection {
 public:
  Connection(Endpoint endpoint, Millis timeout) : endpoint_(std::move(endpoint)), timeout_(timeout) { buffer_.reserve(kReadAhead); }

  Result<HttpResponse> call(const HttpRequest& request) {
    stream_.set_deadline(from_now(timeout_));
    CA_TRY(auto message, message_of<http::string_body>(request));
    message.body() = request.body;
    message.prepare_payload();
    CA_TRY_VOID(ensure_open());
    error_code failed;
    http::write(stream_, message, failed);
    if (failed) return broken(failed, request);
    return read_answer(request);
  }

  Result<HttpResponse> upload(const HttpRequest& request, UploadSource& source) {
    CA_TRY(auto message, message_of<http::buffer_body>(request));
    if (source.size) {
      message.content_length(*source.size);
    } else {
      message.chunked(true);
    }
    message.body().data = nullptr;
    message.body().more = true;
    stream_.set_deadline(from_now(timeout_));
    CA_TRY_VOID(ensure_open());
    http::request_serializer<http::buffer_body> serializer(message);
    error_code failed;
    http::write_header(stream_, serializer, failed);
    std::uint64_t total = 0;
    while (!failed && message.body().more) {
      auto piece = source.read();
      if (!piece) {
        close();
        return tl::unexpected<Error>(std::move(piece).error());
      }
      total += piece->size();
      if (source.size && (piece->empty() ? total < *source.size : total > *source.size)) {
        close();
        return fail(Code::kIo,
                    "the file changed while it was sent: " + std::to_string(*source.size) + " bytes were announced, " +
                        std::to_string(total) + " read",
                    "send it again when nobody writes to it");
      }
      message.body().data = piece->empty() ? nullptr : piece->data();
      message.body().size = piece->size();
      message.body().more = !piece->empty();
      stream_.set_deadline(from_now(timeout_));
      http::write(stream_, serializer, failed);
      if (failed == http::error::need_buffer) failed = {};
    }
    if (failed == boost::asio::error::timed_out) return broken(failed, request);
    // A refused write can mean that the agent has answered already: its answer says why.
    stream_.set_deadline(from_now(failed ? timeout_ : timeout_ * kUploadAnswerFactor));
    auto answer = read_answer(request);
    if (!answer && failed) return broken(failed, request);
    if (failed) close();
    return answer;
  }

  Result<HttpResponse> download(const HttpRequest& request, const DownloadSink& sink) {
    CA_TRY(const auto message, message_of<http::string_body>(request));
    stream_.set_deadline(from_now(timeout_));
    CA_TRY_VOID(ensure_open());
    error_code failed;
    http::write(stream_, message, failed);
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());
    parser.header_limit(kMaxAnswerHeader);
    if (!failed) http::read_header(stream_, buffer_, parser, failed);
    if (failed) return broken(failed, request);
    HttpResponse response = response_of(parser.get());
    std::vector<char> chunk(kDownloadChunk);
    while (!parser.is_done()) {
      parser.get().body().data = chunk.data();
      parser.get().body().size = chunk.size();
      stream_.set_deadline(from_now(timeout_));
      http::read(stream_, buffer_, parser, failed);
      if (failed == http::error::need_buffer) failed = {};
      if (failed) return broken(failed, request);
      const std::string_view piece(chunk.data(), chunk.size() - parser.get().body().size);
      if (response.status == 200) {
        if (auto written = sink(piece); !written) {
          close();
          return tl::unexpected<Error>(std::move(written).error());
        }
      } else if (response.body.size() < kMaxAnswerHeader) {
        response.body += piece;
      }
    }
    if (!parser.keep_alive()) close();
    return response;
  }

 private:
  static SteadyTime from_now(Millis time) { return std::chrono::steady_clock::now() + time; }

  template <typename Body>
  Result<http::request<Body>> message_of(const HttpRequest& request) {
    http::request<Body> message{http::verb::get, endpoint_.prefix + request.target, 11};
    message.method_string(request.method);
    const std::string url = endpoint_.url();
    message.set(http::field::host, url.substr(7, url.size() - 7 - endpoint_.prefix.size()));
    message.set(http::field::user_agent, "computectl/" COMPUTE_AGENT_VERSION);
    for (const auto& [name, value] : request.headers) {
      if (!clean(value)) {
        return fail(Code::kInvalid, "the value for header " + name + " holds control characters", "remove line breaks from it");
      }
      message.set(name, value);
    }
    return message;
  }

  Result<HttpResponse> read_answer(const HttpRequest& request) {
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxAnswer);
    parser.header_limit(kMaxAnswerHeader);
    error_code failed;
    http::read_header(stream_, buffer_, parser, failed);
    if (failed) return broken(failed, request);
    if (const auto length = parser.content_length(); length && *length <= kMaxAnswer) parser.get().body().reserve(*length + kReaderPadding);
    http::read(stream_, buffer_, parser, failed);
    if (failed) return broken(failed, request);
    if (!parser.keep_alive()) close();
    HttpResponse response = response_of(parser.get());
    response.body = std::move(parser.get().body());
    return response;
  }

  // A kept connection that the other side has closed is seen before anything is sent on it, so no order is sent twice.
  Result<void> ensure_open() {
    if (stream_.is_idle()) return {};
    close();
    const error_code failed = stream_.connect(endpoint_.host, endpoint_.port);
    if (!failed) return {};
    if (failed == boost::asio::error::timed_out) {
      return fail(Code::kTimeout, "cannot connect to " + endpoint_.url() + " within " + seconds_text(timeout_),
                  "look whether the agent's host is reachable");
    }
    if (failed == boost::asio::error::host_not_found) {
      return fail(Code::kUnavailable, "cannot find the host of " + endpoint_.url(),
                  "correct --os-endpoint-override or COMPUTECTL_ENDPOINT");
    }
    return fail(Code::kUnavailable, "cannot connect to " + endpoint_.url() + ": " + failed.message(),
                "start the agent (systemctl start compute-agent, or compute-agent --config-file FILE), or name its address with "
                "--os-endpoint-override");
  }

  tl::unexpected<Error> broken(const error_code& code, const HttpRequest& request) {
    close();
    const std::string what = request.method + " " + endpoint_.url() + request.target;
    if (code == boost::asio::error::timed_out) {
      return fail(Code::kTimeout, "no answer to " + what + " within " + seconds_text(timeout_),
                  "look at the agent's log; a longer --timeout SECONDS waits longer");
    }
    if (code == http::error::body_limit || code == http::error::header_limit) {
      return fail(Code::kTooLarge, "the answer to " + what + " is too large", "ask for less, for instance with --limit");
    }
    const bool cut_short = code == http::error::end_of_stream || code == http::error::partial_message;
    if (code.category() == make_error_code(http::error::bad_version).category() && !cut_short) {
      return fail(Code::kExternal, "the answer to " + what + " is not HTTP: " + code.message(),
                  "look whether the endpoint is a compute-agent (--os-endpoint-override)");
    }
    return fail(Code::kUnavailable, "the connection broke during " + what + ": " + code.message(),
                "look whether the agent still runs (systemctl status compute-agent), then try again");
  }

  void close() {
    stream_.close();
    buffer_.clear();
  }

  Endpoint endpoint_;
  Millis timeout_;
  TcpStream stream_;
  boost::beast::flat_buffer buffer_;
};

HttpClient::HttpClient(Endpoint endpoint, Millis timeout) : connection_(std::make_unique<Connection>(std::move(endpoint), timeout)) {}

HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::call(const HttpRequest& request) { return connection_->call(request); }

Result<HttpResponse> HttpClient::upload(const HttpRequest& request, UploadSource& source) { return connection_->upload(request, source); }

Result<HttpResponse> HttpClient::download(const HttpRequest& request, const DownloadSink& sink) {
  return connection_->download(request, sink);
}

}  // namespace ca::ctl
