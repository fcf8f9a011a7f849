#pragma once
// HTTP/1.1 to one endpoint over one kept connection, every wait bounded.
//
// Boost.Beast, not cpprestsdk's http_client: with 500 servers listed (0.9 MB) the whole process took 9.6 ms with cpprestsdk and
// 3.4 ms with Beast, an empty process 0.6 ms; an unused http_client alone adds 2.9 ms, since its library starts a pool of
// threads and loads TLS.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/core/clock.h"
#include "agent/core/error.h"

namespace ca::ctl {

struct Endpoint {
  std::string host;
  std::string port;
  std::string prefix;  // path before /compute, /image and /network; no slash at the end

  [[nodiscard]] std::string url() const;
  // http://HOST[:PORT][/PREFIX]. kInvalid for anything else, https included: the agent listens on loopback without TLS.
  [[nodiscard]] static Result<Endpoint> parse(std::string_view url);
};

struct HttpRequest {
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct HttpResponse {
  int status = 0;
  std::string content_type;
  std::string request_id;
  std::string body;
};

// The next bytes of an upload; an empty string at the end.
struct UploadSource {
  std::function<Result<std::string>()> read;
  std::optional<std::uint64_t> size;  // none: chunked
};

using DownloadSink = std::function<Result<void>(std::string_view)>;

class HttpClient {
 public:
  // `timeout` bounds a whole call; with an upload or download it bounds each wait for the other side to move.
  HttpClient(Endpoint endpoint, Millis timeout);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // kUnavailable: nobody listens or the connection broke. kTimeout. kInvalid: a header with control characters.
  [[nodiscard]] Result<HttpResponse> call(const HttpRequest& request);
  // The agent may answer, with an error, before it has read everything; that answer is returned.
  [[nodiscard]] Result<HttpResponse> upload(const HttpRequest& request, UploadSource& source);
  // The body of a 200 goes to `sink`; that of another status into the response.
  [[nodiscard]] Result<HttpResponse> download(const HttpRequest& request, const DownloadSink& sink);

 private:
  class Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace ca::ctl
