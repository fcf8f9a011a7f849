#include "agent/ctl/api.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ostream>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

constexpr std::size_t kMaxToken = 4096;
constexpr std::size_t kMaxPages = 10000;

std::string prefix_of(Service service) {
  switch (service) {
    case Service::kCompute: return "/compute/v2.1";
    case Service::kImage: return "/image/v2";
    case Service::kNetwork: return "/network/v2.0";
    case Service::kVolume: return "/volume/v3";
    case Service::kAgent: return "/agent/v1";
  }
  return {};
}

std::string target_of(const Call& call) {
  std::string target = prefix_of(call.service) + call.path;
  char separator = '?';
  for (const auto& [name, value] : call.query) {
    target += separator + percent_encode(name) + "=" + percent_encode(value);
    separator = '&';
  }
  return target;
}

Code code_of_status(int status) {
  switch (status) {
    case 400:
    case 415: return Code::kInvalid;
    case 401: return Code::kUnauthorized;
    case 403: return Code::kForbidden;
    case 404: return Code::kNotFound;
    case 409: return Code::kConflict;
    case 413: return Code::kTooLarge;
    case 503: return Code::kUnavailable;
    case 504: return Code::kTimeout;
    case 507: return Code::kNoSpace;
    default: return status >= 500 ? Code::kInternal : Code::kExternal;
  }
}

std::optional<Code> code_named(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    if (to_string(static_cast<Code>(i)) == name) return static_cast<Code>(i);
  }
  return std::nullopt;
}

// The object that holds "message": the body itself (Image) or the member that says what kind of error it is.
const Json* error_object(const Json& body) {
  if (!body.is_object()) return nullptr;
  if (body.contains("message")) return &body;
  for (const Json& member : body) {
    if (member.is_object() && member.contains("message")) return &member;
  }
  return nullptr;
}

// "<html>...<body><h1>404 Not Found</h1>No image ...<br /><br />" as text.
std::string without_tags(std::string_view html) {
  std::string out;
  bool in_tag = false;
  for (const char c : html.substr(0, 4096)) {
    if (c == '<') {
      in_tag = true;
      out += ' ';
    } else if (c == '>' && in_tag) {
      in_tag = false;
    } else if (!in_tag) {
      out += c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
    }
  }
  std::vector<std::string> words;
  for (const std::string_view word : split_words(out)) words.emplace_back(word);
  return join(words, " ");
}

bool is_json(const HttpResponse& response) { return lower(response.content_type).find("json") != std::string::npos; }

Result<std::string> read_small_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return fail_errno(errno, "open");
  std::array<char, kMaxToken + 1> buffer{};
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  const int failed = errno;
  ::close(fd);
  if (got < 0) return fail_errno(failed, "read");
  return std::string(buffer.data(), static_cast<std::size_t>(got));
}

}  // namespace

Error error_of_object(const Json& object, Code code) {
  Error error{.code = code};
  error.message = without_tags(text_member(object, "message"));
  error.next_action = text_member(object, "next_action");
  error.step = text_member(object, "step");
  if (const auto named = code_named(text_member(object, "agent_code"))) error.code = *named;
  std::vector<std::string> causes;
  for (const Json& cause : array_member(object, "causes")) causes.push_back(python_str(cause));
  // The agent's message is its whole chain on one line, or the first of the chain.
  if (!causes.empty() && (error.message == causes.front() || error.message == join(causes, ": "))) {
    error.message = causes.front();
    causes.erase(causes.begin());
  }
  for (auto cause = causes.rbegin(); cause != causes.rend(); ++cause) {
    error.cause = std::make_shared<const Error>(Error{.code = error.code, .message = *cause, .cause = std::move(error.cause)});
  }
  return error;
}

Error error_of(const HttpResponse& response) {
  const Code code = code_of_status(response.status);
  Error error{.code = code};
  const auto body = is_json(response) ? read_json(response.body) : Result<Json>(Json());
  if (const Json* object = body ? error_object(*body) : nullptr) {
    error = error_of_object(*object, code);
  } else if (body && body->is_object() && body->contains("NeutronError")) {
    error.message = python_str((*body)["NeutronError"]);
  } else if (!is_json(response)) {
    error.message = without_tags(response.body);
  }
  if (error.message.empty()) error.message = "the agent refused the request";
  error.message += " (HTTP " + std::to_string(response.status) + ")";
  if (!response.request_id.empty()) error.message += " (Request-ID: " + response.request_id + ")";
  return error;
}

Api::Api(Access access, std::ostream& debug_out) : access_(std::move(access)), debug_out_(debug_out) {}

Result<std::string> Api::token() const {
  std::string token;
  if (access_.token) {
    token = *access_.token;
  } else {
    auto content = read_small_file(access_.token_file);
    if (!content && content.error().code == Code::kForbidden) {
      return fail(Code::kForbidden, "the token file " + access_.token_file + " may be read by root only",
                  "run computectl as root (sudo computectl ...), or give the token with --os-token or OS_TOKEN");
    }
    if (!content && content.error().code == Code::kNotFound) {
      return fail(Code::kNotFound, "there is no token file " + access_.token_file,
                  "start the agent, which makes it (systemctl start compute-agent), or name the file with --token-file or "
                  "COMPUTECTL_TOKEN_FILE");
    }
    if (!content) return wrap(std::move(content).error(), "cannot read the token file " + access_.token_file);
    token = *std::move(content);
  }
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  const bool usable =
      !token.empty() && token.size() <= kMaxToken && std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!usable) {
    return fail(Code::kInvalid,
                access_.token ? "the token given is not one line of printable characters"
                              : "the token file " + access_.token_file + " does not hold a token",
                "give the agent's token; it is in the token_file of its configuration");
  }
  return token;
}

Result<HttpClient*> Api::client() {
  if (!client_) {
    CA_TRY(auto endpoint, Endpoint::parse(access_.endpoint));
    CA_TRY(read_token_, token());
    client_ = std::make_unique<HttpClient>(std::move(endpoint), access_.timeout);
  }
  return client_.get();
}

void Api::show_request(const HttpRequest& request) const {
  if (!access_.debug) return;
  debug_out_ << "REQ: " << request.method << ' ' << access_.endpoint << request.target;
  for (const auto& [name, value] : request.headers) {
    debug_out_ << " -H \"" << name << ": " << (name == "X-Auth-Token" ? "***" : value) << '"';
  }
  const bool secret = request.body.find("\"adminPass\"") != std::string::npos;
  if (!request.body.empty()) debug_out_ << " -d '" << (secret ? "***" : escape_controls(request.body)) << '\'';
  debug_out_ << '\n';
}

void Api::show_response(const HttpResponse& response) const {
  if (!access_.debug) return;
  debug_out_ << "RESP: [" << response.status << "] " << response.content_type;
  if (!response.request_id.empty()) debug_out_ << ' ' << escape_controls(response.request_id);
  if (!response.body.empty()) debug_out_ << '\n' << "RESP BODY: " << escape_controls(response.body);
  debug_out_ << '\n';
}

Result<HttpResponse> Api::perform(const Call& call, const Send& send) {
  CA_TRY(HttpClient * client, this->client());
  HttpRequest request{.method = call.method, .target = target_of(call), .headers = {}, .body = {}};
  request.headers.emplace_back("X-Auth-Token", *read_token_);
  request.headers.emplace_back("Accept", "application/json");
  if (call.service == Service::kCompute) {
    request.headers.emplace_back("OpenStack-API-Version", "compute " + call.microversion);
    request.headers.emplace_back("X-OpenStack-Nova-API-Version", call.microversion);
  }
  if (call.body || call.content_type != "application/json") request.headers.emplace_back("Content-Type", call.content_type);
  if (call.body) request.body = call.body->dump(-1, ' ', false, Json::error_handler_t::replace);
  show_request(request);
  CA_TRY(HttpResponse response, send(*client, request));
  show_response(response);
  if (response.status < 300) return response;
  Error error = error_of(response);
  if (response.status == 401) {
    error.next_action = access_.token
                            ? "give the agent's own token with --os-token or OS_TOKEN"
                            : "the token in " + access_.token_file + " is not this agent's: name the right file with --token-file";
  }
  return tl::unexpected<Error>(std::move(error));
}

Result<HttpResponse> Api::send(const Call& call) {
  return perform(call, [](HttpClient& client, const HttpRequest& request) { return client.call(request); });
}

Result<HttpResponse> Api::upload(const Call& call, UploadSource& source) {
  return perform(call, [&source](HttpClient& client, const HttpRequest& request) { return client.upload(request, source); });
}

Result<HttpResponse> Api::download(const Call& call, const DownloadSink& sink) {
  return perform(call, [&sink](HttpClient& client, const HttpRequest& request) { return client.download(request, sink); });
}

Result<Json> Api::json(const Call& call) {
  CA_TRY(HttpResponse response, send(call));
  if (response.body.empty()) return Json();
  return read_json(std::move(response.body));
}

Result<Json> Api::record(const Call& call, std::string_view member) {
  CA_TRY(Json answer, json(call));
  const auto found = answer.is_object() ? answer.find(member) : answer.end();
  if (found == answer.end() || !found->is_object()) {
    return fail(Code::kExternal, "the answer to " + call.method + " " + call.path + " has no '" + std::string(member) + "'",
                "look whether the endpoint is a compute-agent (--os-endpoint-override), and of what version");
  }
  return Json(std::move(*found));
}

Result<std::vector<Json>> Api::list(Call call, std::string_view member, std::span<const std::string_view> keys) {
  const bool one_page = std::any_of(call.query.begin(), call.query.end(), [](const auto& pair) { return pair.first == "limit"; });
  std::vector<Json> all;
  for (std::size_t pages = 0; pages < kMaxPages; ++pages) {
    CA_TRY(HttpResponse response, send(call));
    CA_TRY(Page page, read_page(std::move(response.body), member, keys));
    std::move(page.items.begin(), page.items.end(), std::back_inserter(all));
    const std::string last = all.empty() ? "" : text_member(all.back(), "id");
    if (one_page || !page.more || page.items.empty() || last.empty()) break;
    std::erase_if(call.query, [](const auto& pair) { return pair.first == "marker"; });
    call.query.emplace_back("marker", last);
  }
  return all;
}

}  // namespace ca::ctl
