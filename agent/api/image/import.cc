// Images fetched by the agent from a URL (the Image API's method web-download).

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "agent/api/image/upload.h"
#include "drivers/image_download.h"

namespace ca {
namespace {

constexpr const char* kFailure = "os_glance_failed_import";
constexpr std::chrono::seconds kStall{30};
// More than the download itself waits for anything.
constexpr std::chrono::seconds kLease{120};
constexpr std::chrono::seconds kFinish{600};

struct ImportOrder {
  Uuid id;
  std::string uri;
  ExpectedDigest digest;
};

bool contains(const std::vector<std::string>& list, const std::string& word) { return std::ranges::find(list, word) != list.end(); }

// Glance's [import_filtering_opts].
Result<void> allowed(const Config& config, const HttpUrl& url) {
  const std::string scheme = url.tls ? "https" : "http";
  if (!contains(config.import_allowed_schemes, scheme)) {
    return fail(Code::kForbidden, fmt::format("images are not imported by {}", scheme), "see [import_filtering_opts] allowed_schemes");
  }
  if (!config.import_allowed_ports.empty() && !contains(config.import_allowed_ports, std::to_string(url.port))) {
    return fail(Code::kForbidden, fmt::format("images are not imported from port {}", url.port),
                "see [import_filtering_opts] allowed_ports");
  }
  if (contains(config.import_disallowed_hosts, url.host)) {
    return fail(Code::kForbidden, fmt::format("images are not imported from {}", url.host), "see [import_filtering_opts] disallowed_hosts");
  }
  return {};
}

void record_failure(ApiServices& s, const Uuid& id, const Error& error) {
  spdlog::error("image {} is not imported: {}; {}", id, error.chain(), error.action());
  [[maybe_unused]] const auto written = s.verbs.store.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    CA_TRY(ImageMeta image, tx.get<ImageMeta>(id));
    image.properties[kFailure] = error.chain().substr(0, 1000);
    image.updated_us = tx.now_us();
    return tx.put(image);
  });
}

Result<void> download(ApiServices& s, const ImportOrder& order, TaskLease& lease, const std::function<void()>& expired) {
  CA_TRY(const auto upload, begin_upload(s, order.id, 0));
  DownloadHooks hooks;
  hooks.allow = [&](const HttpUrl& url) { return allowed(s.verbs.config, url); };
  hooks.piece = [&](std::span<const std::byte> bytes) -> Result<void> {
    if (!lease.rearm(kLease, expired)) return fail(Code::kTimeout, "the import stalled");
    return upload->append(bytes);
  };
  auto done = http_download(order.uri, {.max_bytes = s.verbs.config.max_image_bytes, .stall = kStall, .digest = order.digest}, hooks);
  if (done && !lease.rearm(kFinish, expired)) done = fail(Code::kTimeout, "the import stalled");
  if (!done) {
    abandon_upload(s, order.id);
    return done;
  }
  return finish_upload(s, order.id, *upload);
}

Result<ApiResponse> import_image(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "image_import"));
  const Json& method = body.at("method");
  ImportOrder order{.id = request.param("id"), .uri = method.at("uri"), .digest = {}};
  CA_TRY(const HttpUrl url, parse_http_url(order.uri));
  CA_TRY_VOID(allowed(s.verbs.config, url));
  if (method.contains("checksum")) {
    const std::string checksum = method.at("checksum");
    const std::size_t colon = checksum.find(':');
    order.digest = {checksum.substr(0, colon), checksum.substr(colon + 1)};
  }
  CA_TRY_VOID(s.verbs.store.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    auto image = tx.get<ImageMeta>(order.id);
    if (!image) return fail(Code::kNotFound, fmt::format("No image found with ID {}", order.id));
    if (image->status != ImageStatus::kQueued) {
      return fail(Code::kConflict, fmt::format("Only images with status queued can be imported; this one is {}", to_string(image->status)));
    }
    if (image->properties.erase(kFailure) == 0) return {};
    return tx.put(*image);
  }));
  s.workers.submit([&s, order](TaskLease& lease) {
    const auto expired = [&s, order] {
      abandon_upload(s, order.id);
      record_failure(s, order.id, fail(Code::kTimeout, "the import stalled", "import it again").value());
    };
    lease.rearm(kLease, expired);
    const auto outcome = download(s, order, lease, expired);
    if (!lease.rearm(kLease, [] {})) return;
    if (!outcome) record_failure(s, order.id, outcome.error());
  });
  ApiResponse response;
  response.status = 202;
  return response;
}

}  // namespace

void add_image_import_routes(Router& router, ApiServices& s) {
  router.add("POST", "/image/v2/images/{id}/import", [&s](const ApiRequest& r) { return import_image(s, r); });
  router.add("GET", "/image/v2/info/import", [](const ApiRequest&) -> Result<ApiResponse> {
    ApiResponse response;
    response.body =
        Json{{"import-methods", {{"description", "Import methods available."}, {"type", "array"}, {"value", {"web-download"}}}}};
    return response;
  });
}

}  // namespace ca
