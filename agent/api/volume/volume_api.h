#pragma once
// What the routes of the Volume API v3 share. Each exists with and without a project: /volume/v3/volumes, /volume/v3/{project}/volumes.

#include "agent/api/api_services.h"

namespace ca {

using VolumeHandler = Result<ApiResponse> (*)(ApiServices&, const ApiRequest&);
// `path` follows /volume/v3.
void add_volume_route(Router& router, ApiServices& s, const std::string& method, const std::string& path, VolumeHandler handler);

[[nodiscard]] Json volume_view(const Volume& volume);
[[nodiscard]] Json null_if_empty(const std::string& text);
// The text member of a body; empty where it is missing or null.
[[nodiscard]] std::string text_of(const Json& body, const char* name);

void add_volume_action_routes(Router& router, ApiServices& s);

}  // namespace ca
