#include <fmt/format.h>

#include <algorithm>

#include "agent/api/api_services.h"
#include "agent/api/compute/server_create.h"
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

// Filters of GET /servers; unknown ones are ignored, as nova does.
bool wanted(const ApiRequest& request, const Instance& i) {
  const std::string name = request.query_or("name", "");
  if (!name.empty() && i.name.find(name) == std::string::npos) return false;
  std::string status = request.query_or("status", "");
  std::ranges::transform(status, status.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (!status.empty() && api_status(i.vm_state, i.task_state) != status) return false;
  const std::string host = request.query_or("host", "");
  if (!host.empty() && i.host != host) return false;
  const std::string image = request.query_or("image", "");
  if (!image.empty() && i.image.id != image) return false;
  const std::string flavor = request.query_or("flavor", "");
  return flavor.empty() || i.flavor.id == flavor;
}

ApiResponse text_response(JsonText& json) {
  ApiResponse response;
  response.text = json.take();
  return response;
}

Result<ApiResponse> list_servers(ApiServices& s, const ApiRequest& request, bool detail) {
  auto rows = s.verbs.store.all<Instance>();
  std::erase_if(rows, [&](const InstanceRow& row) { return !wanted(request, *row); });
  // Newest first, as nova.
  std::ranges::sort(rows, [](const InstanceRow& a, const InstanceRow& b) {
    return a->created_us != b->created_us ? a->created_us > b->created_us : a->uuid < b->uuid;
  });
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
    const std::string next =
        fmt::format("/compute/v2.1/servers{}?limit={}&marker={}", detail ? "/detail" : "", page.count, ids[page.first + page.count - 1]);
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
    CA_TRY_VOID(check_order(Order::kTerminate, record.vm_state, record.task_state, uuid));
    record.task_state = TaskState::kDeleting;
    record.updated_us = tx.now_us();
    CA_TRY_VOID(tx.put(record));
    return publish_order(s, tx, "terminate_instance", {{"instance", {{"uuid", uuid}}}}, request.request_id);
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
