#include <fmt/format.h>

#include "agent/api/api_services.h"
#include "agent/api/compute/server_create.h"
#include "agent/api/compute/server_filter.h"
#include "agent/api/compute/server_view.h"
#include "agent/api/compute/volume_devices.h"
#include "agent/core/ids.h"
#include "agent/verbs/steps.h"

namespace ca {
namespace {

using InstanceRow = std::shared_ptr<const Instance>;

Result<InstanceRow> find_server(ApiServices& s, const ApiRequest& request) {
  auto instance = s.verbs.store.get<Instance>(request.param("id"));
  if (!instance) {
    return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", request.param("id")),
                "`computectl server list` shows the instances");
  }
  return instance;
}

std::string percent_encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.' || c == '~');
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

// The same query with another window.
std::string next_page(const ApiRequest& request, bool detail, std::size_t limit, const std::string& marker) {
  std::string link = fmt::format("/compute/v2.1/servers{}?limit={}&marker={}", detail ? "/detail" : "", limit, marker);
  for (const auto& [name, value] : request.query) {
    if (name != "limit" && name != "marker") link += "&" + percent_encoded(name) + "=" + percent_encoded(value);
  }
  return link;
}

ApiResponse text_response(JsonText& json) {
  ApiResponse response;
  response.text = json.take();
  return response;
}

Result<ApiResponse> list_servers(ApiServices& s, const ApiRequest& request, bool detail) {
  CA_TRY(const ServerFilter wanted, server_filter(s.verbs.store, request));
  auto rows = s.verbs.store.all<Instance>();
  std::erase_if(rows, [&](const InstanceRow& row) { return !wanted(*row); });
  CA_TRY_VOID(sort_servers(request, rows));
  std::vector<std::string> ids;
  ids.reserve(rows.size());
  for (const InstanceRow& row : rows) ids.push_back(row->uuid);
  CA_TRY(const Page page, page_of(request, ids));
  const ServerViewContext context = detail ? server_view_context(s.verbs.store) : ServerViewContext{};
  JsonText out;
  out.reserve(page.count * (detail ? 2048 : 256));
  out.begin_object().key("servers").begin_array();
  for (std::size_t i = page.first; i < page.first + page.count; ++i) {
    if (detail)
      write_server(out, *rows[i], context);
    else
      write_server_brief(out, *rows[i]);
  }
  out.end_array();
  if (page.more && page.count > 0) {
    const std::string next = next_page(request, detail, page.count, ids[page.first + page.count - 1]);
    out.key("servers_links").begin_array().begin_object().member("rel", "next").member("href", next).end_object().end_array();
  }
  return text_response(out.end_object());
}

Result<ApiResponse> show_server(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const InstanceRow row, find_server(s, request));
  JsonText out;
  out.begin_object().key("server");
  write_server(out, *row, server_view_context(s.verbs.store));
  return text_response(out.end_object());
}

Result<ApiResponse> create_servers(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "server_create"));
  CA_TRY(ServerOrder order, server_order(s, body.at("server")));
  const auto service = s.verbs.store.get<Service>(s.verbs.config.host);
  if (service && service->disabled) {
    return fail(
        Code::kConflict,
        fmt::format("No valid host was found: compute service on {} is disabled ({})", s.verbs.config.host, service->disabled_reason),
        "`computectl compute service set --enable` allows builds again");
  }
  const std::string reservation = "r-" + new_message_id().substr(0, 8);
  std::vector<Instance> made;
  const auto written = s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    made.clear();
    for (std::int64_t n = 0; n < order.count; ++n) {
      Instance instance = order.instance;
      instance.uuid = new_uuid();
      instance.reservation_id = reservation;
      instance.launch_index = n;
      if (order.count > 1) {
        instance.name = fmt::format("{}-{}", order.instance.name, n + 1);
        instance.hostname = order.hostname_given ? order.instance.hostname : hostname_from(instance.name, instance.uuid);
      } else if (!order.hostname_given) {
        instance.hostname = hostname_from(instance.name, instance.uuid);
      }
      instance.created_us = instance.updated_us = tx.now_us();
      CA_TRY(instance.number, tx.next_number("instance_number"));
      name_new_volumes(instance);
      CA_TRY_VOID(record_volumes(tx, s.verbs.config, instance));
      CA_TRY_VOID(tx.put(instance));
      CA_TRY_VOID(publish_order(s, tx, "build_and_run_instance", {{"instance", to_json(instance)}, {"requested_networks", order.networks}},
                                request.request_id));
      made.push_back(std::move(instance));
    }
    return {};
  });
  if (!written) return tl::unexpected<Error>(written.error());
  ApiResponse response;
  response.status = 202;
  const Uuid& uuid = made.front().uuid;
  JsonText out;
  out.begin_object().key("server").begin_object().member("id", uuid);
  write_server_links(out, uuid);
  out.member("OS-DCF:diskConfig", "MANUAL").key("security_groups").raw("[]").end_object();
  response.text = out.end_object().take();
  response.headers["Location"] = "/compute/v2.1/servers/" + uuid;
  return response;
}

Result<ApiResponse> delete_server(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const InstanceRow row, find_server(s, request));
  const Uuid uuid = row->uuid;
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(Instance record, tx.get<Instance>(uuid));
    const bool keeps = s.verbs.config.reclaim_instance_interval > 0;
    // It waits to be reclaimed already; only --force deletes it before.
    if (keeps && (record.vm_state == VmState::kSoftDeleted || record.task_state == TaskState::kSoftDeleting)) return {};
    // nova: one that never was active has nothing worth keeping.
    const bool soft = keeps && record.launched_us != 0 && check_order(Order::kSoftDelete, record.vm_state, record.task_state, uuid);
    CA_TRY_VOID(check_order(Order::kTerminate, record.vm_state, record.task_state, uuid));
    record.task_state = soft ? TaskState::kSoftDeleting : TaskState::kDeleting;
    record.updated_us = tx.now_us();
    CA_TRY_VOID(tx.put(record));
    return publish_order(s, tx, soft ? "soft_delete_instance" : "terminate_instance", {{"instance", {{"uuid", uuid}}}}, request.request_id);
  }));
  ApiResponse response;
  response.status = 204;
  return response;
}

}  // namespace

void add_server_routes(Router& router, ApiServices& s) {
  router.add("GET", "/compute/v2.1/servers", [&s](const ApiRequest& r) { return list_servers(s, r, false); });
  router.add("GET", "/compute/v2.1/servers/detail", [&s](const ApiRequest& r) { return list_servers(s, r, true); });
  router.add("POST", "/compute/v2.1/servers", [&s](const ApiRequest& r) { return create_servers(s, r); });
  router.add("GET", "/compute/v2.1/servers/{id}", [&s](const ApiRequest& r) { return show_server(s, r); });
  router.add("DELETE", "/compute/v2.1/servers/{id}", [&s](const ApiRequest& r) { return delete_server(s, r); });
}

}  // namespace ca
