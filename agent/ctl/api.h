#pragma once
// The agent's REST as the commands see it: four services, JSON in and out, failures with message, causes and next action.

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/ctl/http_client.h"
#include "agent/ctl/json_read.h"

namespace ca::ctl {

enum class Service { kCompute, kImage, kNetwork, kVolume, kAgent };

// Where the agent is and how to be let in. The token is read when the first call is made.
struct Access {
  std::string endpoint = "http://127.0.0.1:8774";
  std::optional<std::string> token;
  std::string token_file = "/var/lib/compute-agent/token";
  Millis timeout{60000};
  bool debug = false;
};

using Query = std::vector<std::pair<std::string, std::string>>;

struct Call {
  std::string method = "GET";
  Service service = Service::kCompute;
  std::string path;  // below /compute/v2.1, /image/v2, /network/v2.0 or /volume/v3; parts chosen by a user are percent-encoded
  Query query;
  std::optional<Json> body;
  std::string content_type = "application/json";
  std::string microversion = "2.90";  // Compute only
};

class Api {
 public:
  // `debug_out` gets each request and answer when access.debug is set, the token masked.
  Api(Access access, std::ostream& debug_out);

  // A status of 300 and above is an error: its code comes from the answer's agent_code or the status.
  [[nodiscard]] Result<HttpResponse> send(const Call& call);
  // The answer's JSON; null when it has no body.
  [[nodiscard]] Result<Json> json(const Call& call);
  // json(), and its member `member`.
  [[nodiscard]] Result<Json> record(const Call& call, std::string_view member);
  // All pages of a list (until `limit` is in the query: then one).
  [[nodiscard]] Result<std::vector<Json>> list(Call call, std::string_view member, std::span<const std::string_view> keys = {});
  [[nodiscard]] Result<HttpResponse> upload(const Call& call, UploadSource& source);
  [[nodiscard]] Result<HttpResponse> download(const Call& call, const DownloadSink& sink);

 private:
  using Send = std::function<Result<HttpResponse>(HttpClient&, const HttpRequest&)>;
  [[nodiscard]] Result<HttpResponse> perform(const Call& call, const Send& send);
  [[nodiscard]] Result<std::string> token() const;
  [[nodiscard]] Result<HttpClient*> client();
  void show_request(const HttpRequest& request) const;
  void show_response(const HttpResponse& response) const;

  Access access_;
  std::ostream& debug_out_;
  std::unique_ptr<HttpClient> client_;
  std::optional<std::string> read_token_;
};

// message, causes and next action out of the error bodies of Compute, Image and Network.
[[nodiscard]] Error error_of(const HttpResponse& response);
// The same out of one error object ({"message", "agent_code", "causes", "next_action"}), such as a server's fault.
[[nodiscard]] Error error_of_object(const Json& object, Code code);

}  // namespace ca::ctl
