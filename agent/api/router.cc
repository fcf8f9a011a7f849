#include "agent/api/router.h"

#include <algorithm>

namespace ca {

std::string ApiRequest::param(const std::string& name) const {
  const auto found = params.find(name);
  return found == params.end() ? std::string() : found->second;
}

std::string ApiRequest::query_or(const std::string& name, const std::string& otherwise) const {
  const auto found = query.find(name);
  return found == query.end() ? otherwise : found->second;
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (at < path.size()) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    if (slash > at) parts.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return parts;
}

void Router::add(const std::string& method, const std::string& pattern, ApiHandler handler) {
  add_async(method, pattern, [handler = std::move(handler)](const ApiRequest& request, const Reply& reply) { reply(handler(request)); });
}

void Router::add_async(const std::string& method, const std::string& pattern, AsyncHandler handler) {
  routes_.push_back({method, split_path(pattern), std::move(handler), false});
}

void Router::add_upload(const std::string& method, const std::string& pattern) {
  routes_.push_back({method, split_path(pattern), {}, true});
}

Router::Match Router::find(const std::string& method, const std::vector<std::string>& path) const {
  Match match;
  std::size_t best_literals = 0;
  bool found = false;
  for (const Route& route : routes_) {
    if (route.pattern.size() != path.size()) continue;
    std::map<std::string, std::string> params;
    std::size_t literals = 0;
    bool fits = true;
    for (std::size_t i = 0; i < path.size() && fits; ++i) {
      const std::string& part = route.pattern[i];
      if (part.front() == '{') {
        params[part.substr(1, part.size() - 2)] = path[i];
      } else {
        fits = part == path[i];
        ++literals;
      }
    }
    if (!fits) continue;
    match.allowed.push_back(route.method);
    // "servers/detail" goes before "servers/{id}".
    if (route.method != method || (found && literals <= best_literals)) continue;
    found = true;
    best_literals = literals;
    match.handler = route.upload ? nullptr : &route.handler;
    match.upload = route.upload;
    match.params = std::move(params);
  }
  return match;
}

std::vector<std::string> Router::routes() const {
  std::vector<std::string> all;
  for (const Route& route : routes_) {
    std::string path = route.method + " ";
    for (const std::string& part : route.pattern) path += "/" + part;
    all.push_back(std::move(path));
  }
  std::ranges::sort(all);
  return all;
}

namespace {

std::string_view compute_fault(int status) {
  switch (status) {
    case 400: return "badRequest";
    case 401: return "unauthorized";
    case 403: return "forbidden";
    case 404: return "itemNotFound";
    case 405: return "badMethod";
    case 409: return "conflictingRequest";
    case 413: return "overLimit";
    case 503: return "serviceUnavailable";
    default: return "computeFault";
  }
}

std::string_view neutron_type(int status) {
  switch (status) {
    case 400: return "HTTPBadRequest";
    case 401: return "HTTPUnauthorized";
    case 404: return "HTTPNotFound";
    case 409: return "HTTPConflict";
    default: return "HTTPInternalServerError";
  }
}

}  // namespace

ApiResponse error_response(const std::string& service, const Error& error) {
  return error_response(service, error, http_status(error.code));
}

ApiResponse error_response(const std::string& service, const Error& error, int status) {
  ApiResponse response;
  response.status = status;
  Json inner{
      {"message", error.chain()}, {"agent_code", to_string(error.code)}, {"causes", error.causes()}, {"next_action", error.action()}};
  if (!error.step.empty()) inner["step"] = error.step;
  if (service == "network") {
    inner["type"] = neutron_type(response.status);
    inner["detail"] = "";
    response.body = Json{{"NeutronError", std::move(inner)}};
  } else if (service == "image") {
    inner["code"] = response.status;
    response.body = std::move(inner);
  } else {
    inner["code"] = response.status;
    response.body = Json{{std::string(compute_fault(response.status)), std::move(inner)}};
  }
  return response;
}

}  // namespace ca
