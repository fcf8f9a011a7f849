#pragma once
// Requests and answers as values, and the table that finds the handler. Knows nothing of cpprestsdk; server.cc is the only file that
// does. Handlers have no logic of their own: they check, ask the store, publish orders, and shape answers.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent/core/error.h"

namespace ca {

using Json = nlohmann::json;

struct ApiRequest {
  std::string method;             // GET, POST, ...
  std::vector<std::string> path;  // decoded segments
  std::map<std::string, std::string> query;
  std::string content_type;
  std::string raw_body;  // empty for streamed bodies
  std::string request_id;
  // By name in the route: {"id": "..."}.
  std::map<std::string, std::string> params;

  [[nodiscard]] std::string param(const std::string& name) const;
  [[nodiscard]] std::string query_or(const std::string& name, const std::string& otherwise) const;
};

struct ApiResponse {
  int status = 200;
  std::optional<Json> body;  // none: no body
  std::string file;          // a path: its bytes are the body
  std::string text;          // used instead of body when not empty, as `content_type`
  std::string content_type = "application/json";
  std::map<std::string, std::string> headers;
};

using ApiHandler = std::function<Result<ApiResponse>(const ApiRequest&)>;

// Ends a request that can't be answered at once. Called exactly once, from any thread.
using Reply = std::function<void(Result<ApiResponse>)>;
using AsyncHandler = std::function<void(const ApiRequest&, Reply)>;

class Router {
 public:
  // "GET", "/compute/v2.1/servers/{id}".
  void add(const std::string& method, const std::string& pattern, ApiHandler handler);
  void add_async(const std::string& method, const std::string& pattern, AsyncHandler handler);
  // A body that is streamed to a file; server.cc hands it over.
  void add_upload(const std::string& method, const std::string& pattern);

  struct Match {
    const AsyncHandler* handler = nullptr;
    bool upload = false;
    std::map<std::string, std::string> params;
    std::vector<std::string> allowed;  // methods of the path, when only the method is wrong
  };
  [[nodiscard]] Match find(const std::string& method, const std::vector<std::string>& path) const;

  // "GET /compute/v2.1/servers", sorted; for the API document.
  [[nodiscard]] std::vector<std::string> routes() const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> pattern;
    AsyncHandler handler;
    bool upload = false;
  };
  std::vector<Route> routes_;
};

[[nodiscard]] std::vector<std::string> split_path(const std::string& path);

// The error in the shape of the service whose path it is (Compute: {"itemNotFound": {...}}, Network: {"NeutronError": ...}, Image:
// {"message": ...}), with agent_code, step, causes and next_action inside.
[[nodiscard]] ApiResponse error_response(const std::string& service, const Error& error);
// For what only HTTP knows (405) and no error code stands for.
[[nodiscard]] ApiResponse error_response(const std::string& service, const Error& error, int status);

}  // namespace ca
