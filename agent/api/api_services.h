#pragma once
// What handlers work with.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/api/router.h"
#include "agent/bus/bus.h"
#include "agent/journal/journal.h"
#include "agent/runtime/schema_set.h"
#include "agent/runtime/worker_pool.h"
#include "agent/verbs/services.h"
#include "drivers/image_store.h"

namespace ca {

class ImageCacheManager;

// What this host is and has left, as the API shows it.
struct HostView {
  std::optional<HostFacts> facts;  // none until libvirt was asked once
  bool hypervisor_up = false;
  std::string hypervisor_down_reason;
  VirtChoice virt;
  std::int64_t disk_total_gib = 0, disk_free_gib = 0;
  std::int64_t image_cache_gib = 0;  // full GiB that _base takes: used disk
};

struct ApiServices {
  Services& verbs;
  Bus& bus;
  Journal& journal;
  SchemaSet& schemas;
  WorkerPool& workers;
  ImageStore& image_store;
  std::function<HostView()> host;
  std::int64_t started_us = 0;
  ImageCacheManager& image_cache;
};

// The one project and user of a standalone agent, until it has an identity service.
inline constexpr const char* kProjectId = "00000000000000000000000000000001";
inline constexpr const char* kUserId = "00000000000000000000000000000001";

void add_server_routes(Router& router, ApiServices& s);
void add_server_action_routes(Router& router, ApiServices& s);
void add_server_edit_routes(Router& router, ApiServices& s);
void add_flavor_routes(Router& router, ApiServices& s);
void add_keypair_routes(Router& router, ApiServices& s);
void add_host_routes(Router& router, ApiServices& s);
void add_image_routes(Router& router, ApiServices& s);
void add_image_import_routes(Router& router, ApiServices& s);
void add_network_routes(Router& router, ApiServices& s);
void add_subnet_routes(Router& router, ApiServices& s);
void add_image_cache_routes(Router& router, ApiServices& s);
void add_agent_routes(Router& router, ApiServices& s);
void add_volume_routes(Router& router, ApiServices& s);
void add_volume_snapshot_routes(Router& router, ApiServices& s);
void add_connected_volume_routes(Router& router, ApiServices& s);
void add_volume_attachment_routes(Router& router, ApiServices& s);

// The body as JSON, checked against schemas/rest/<schema>.json.
[[nodiscard]] Result<Json> checked_body(ApiServices& s, const ApiRequest& request, const std::string& schema);

// Publishes an order to this host's queue inside `tx`.
[[nodiscard]] Result<void> publish_order(ApiServices& s, Tx& tx, const std::string& method, Json args, const std::string& request_id);

// limit/marker paging over rows that are sorted as they shall be shown: the window and whether more follows.
struct Page {
  std::size_t first = 0, count = 0;
  bool more = false;
};
[[nodiscard]] Result<Page> page_of(const ApiRequest& request, const std::vector<std::string>& ids);

}  // namespace ca
