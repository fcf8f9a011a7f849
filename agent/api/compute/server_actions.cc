#include <fmt/format.h>

#include <map>
#include <memory>

#include "agent/api/compute/server_orders.h"
#include "agent/core/clock.h"
#include "agent/core/ids.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

// Marks the record and publishes the order, in one transaction; 409 when the state does not allow it.
Result<ApiResponse> give_order(ApiServices& s, const ApiRequest& request, const ServerOrder& row, const Json& body) {
  const Uuid uuid = request.param("id");
  const auto instance = s.verbs.store.get<Instance>(uuid);
  if (!instance) {
    return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", uuid), "`computectl server list` shows the instances");
  }
  const auto [order, task] = row.kind(body);
  Json args = Json::object();
  if (row.args) {
    CA_TRY(args, row.args(s, *instance, body));
  }
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(Instance record, tx.get<Instance>(uuid));
    CA_TRY_VOID(check_order(order, record.vm_state, record.task_state, uuid));
    if (record.task_state == task && task != TaskState::kNone) {
      return fail(Code::kConflict, fmt::format("Cannot '{}' instance {} while it is in task_state {}", row.method, uuid, to_string(task)));
    }
    if (row.record) CA_TRY_VOID(row.record(s, tx, record, body, args));
    if (task != TaskState::kNone) record.task_state = task;
    record.updated_us = tx.now_us();
    CA_TRY_VOID(tx.put(record));
    Json message{{"instance", {{"uuid", uuid}}}};
    message.update(args);
    return publish_order(s, tx, row.method, std::move(message), request.request_id);
  }));
  ApiResponse response = row.view ? row.view(s, uuid, args) : row.answer ? row.answer(args) : ApiResponse{};
  response.status = 202;
  return response;
}

void console_output(ApiServices& s, const ApiRequest& request, const Json& action, const Reply& reply) {
  Message message;
  message.args = {{"instance", {{"uuid", request.param("id")}}}};
  const auto length = action.find("length");
  if (length != action.end() && length->is_number_integer()) message.args["tail_length"] = *length;
  if (length != action.end() && length->is_string()) message.args["tail_length"] = std::stoll(length->get<std::string>());
  s.workers.submit([&s, message, reply](TaskLease& lease) {
    constexpr std::chrono::seconds kLimit{30};
    lease.rearm(kLimit, [reply] { reply(fail(Code::kTimeout, "reading the console log did not end in time")); });
    auto output = get_console_output(s.verbs, message);
    if (!lease.rearm(kLimit, [] {})) return;
    if (!output) {
      reply(tl::unexpected<Error>(std::move(output).error()));
      return;
    }
    ApiResponse response;
    response.body = *std::move(output);
    reply(std::move(response));
  });
}

struct ActionTable {
  std::map<std::string, ServerOrder> orders;
  std::map<std::string, ServerCall> calls;
};

std::shared_ptr<const ActionTable> action_table() {
  auto table = std::make_shared<ActionTable>();
  for (ServerOrder& row : server_orders()) table->orders.emplace(row.action, std::move(row));
  for (ServerCall& row : server_calls()) table->calls.emplace(row.action, std::move(row));
  return table;
}

void server_action(ApiServices& s, const ActionTable& table, const ApiRequest& request, const Reply& reply) {
  auto body = checked_body(s, request, "server_action");
  if (!body) {
    reply(tl::unexpected<Error>(std::move(body).error()));
    return;
  }
  const std::string name = body->begin().key();
  const Json& action = body->begin().value();
  if (name == "os-getConsoleOutput") {
    console_output(s, request, action, reply);
  } else if (const auto order = table.orders.find(name); order != table.orders.end()) {
    reply(give_order(s, request, order->second, action));
  } else if (const auto call = table.calls.find(name); call != table.calls.end()) {
    reply(call->second.run(s, request, action));
  } else {
    reply(fail(Code::kInvalid, "there is no server action '" + name + "'"));
  }
}

Json action_view(const InstanceAction& action) {
  return {{"action", action.action},
          {"instance_uuid", action.instance_uuid},
          {"request_id", action.request_id},
          {"user_id", action.user_id},
          {"project_id", action.project_id},
          {"start_time", iso_micros(action.start_us)},
          {"updated_at", iso_micros(action.updated_us)},
          {"message", action.message.empty() ? Json(nullptr) : Json(action.message)}};
}

Result<ApiResponse> list_actions(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto actions, s.verbs.store.actions(request.param("id")));
  if (actions.empty() && !s.verbs.store.get<Instance>(request.param("id"))) {
    return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", request.param("id")));
  }
  Json list = Json::array();
  for (const InstanceAction& action : actions) list.push_back(action_view(action));
  ApiResponse response;
  response.body = Json{{"instanceActions", std::move(list)}};
  return response;
}

Result<ApiResponse> show_action(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const InstanceAction action, s.verbs.store.action(request.param("id"), request.param("request_id")));
  Json view = action_view(action);
  view["events"] = Json::array();
  for (const ActionEvent& event : action.events) {
    view["events"].push_back({{"event", event.event},
                              {"start_time", iso_micros(event.start_us)},
                              {"finish_time", event.finish_us == 0 ? Json(nullptr) : Json(iso_micros(event.finish_us))},
                              {"result", event.result},
                              {"traceback", event.details.empty() ? Json(nullptr) : Json(event.details)},
                              {"details", event.details.empty() ? Json(nullptr) : Json(event.details)},
                              {"host", s.verbs.config.host},
                              {"hostId", s.verbs.config.host}});
  }
  ApiResponse response;
  response.body = Json{{"instanceAction", std::move(view)}};
  return response;
}

}  // namespace

void add_server_action_routes(Router& router, ApiServices& s) {
  router.add_async("POST", "/compute/v2.1/servers/{id}/action",
                   [&s, table = action_table()](const ApiRequest& r, const Reply& reply) { server_action(s, *table, r, reply); });
  router.add("GET", "/compute/v2.1/servers/{id}/os-instance-actions", [&s](const ApiRequest& r) { return list_actions(s, r); });
  router.add("GET", "/compute/v2.1/servers/{id}/os-instance-actions/{request_id}", [&s](const ApiRequest& r) { return show_action(s, r); });
}

}  // namespace ca
