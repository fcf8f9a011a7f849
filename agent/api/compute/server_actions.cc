#include <fmt/format.h>

#include <algorithm>

#include "agent/api/api_services.h"
#include "agent/core/clock.h"
#include "agent/core/ids.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

// Marks the record and publishes the order, in one transaction; 409 when the state does not allow it.
Result<ApiResponse> order_action(ApiServices& s, const ApiRequest& request, Order order, TaskState task, const std::string& method,
                                 Json extra) {
  const Uuid uuid = request.param("id");
  if (!s.verbs.store.get<Instance>(uuid)) {
    return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", uuid), "`computectl server list` shows the instances");
  }
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(Instance record, tx.get<Instance>(uuid));
    CA_TRY_VOID(check_order(order, record.vm_state, record.task_state, uuid));
    if (record.task_state == task && task != TaskState::kNone) {
      return fail(Code::kConflict, fmt::format("Cannot '{}' instance {} while it is in task_state {}", method, uuid, to_string(task)));
    }
    record.task_state = task;
    record.updated_us = tx.now_us();
    CA_TRY_VOID(tx.put(record));
    Json args{{"instance", {{"uuid", uuid}}}};
    args.update(extra);
    return publish_order(s, tx, method, std::move(args), request.request_id);
  }));
  ApiResponse response;
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

void server_action(ApiServices& s, const ApiRequest& request, const Reply& reply) {
  auto body = checked_body(s, request, "server_action");
  if (!body) {
    reply(tl::unexpected<Error>(std::move(body).error()));
    return;
  }
  const std::string name = body->begin().key();
  const Json& action = body->begin().value();
  if (name == "os-start") {
    reply(order_action(s, request, Order::kStart, TaskState::kPoweringOn, "start_instance", Json::object()));
  } else if (name == "os-stop") {
    reply(order_action(s, request, Order::kStop, TaskState::kPoweringOff, "stop_instance", Json::object()));
  } else if (name == "reboot") {
    std::string type = action.at("type");
    std::ranges::transform(type, type.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    const bool soft = type == "SOFT";
    reply(order_action(s, request, soft ? Order::kRebootSoft : Order::kRebootHard, soft ? TaskState::kRebooting : TaskState::kRebootingHard,
                       "reboot_instance", {{"reboot_type", type}}));
  } else if (name == "forceDelete") {
    reply(order_action(s, request, Order::kTerminate, TaskState::kDeleting, "terminate_instance", Json::object()));
  } else {
    console_output(s, request, action, reply);
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
                   [&s](const ApiRequest& r, const Reply& reply) { server_action(s, r, reply); });
  router.add("GET", "/compute/v2.1/servers/{id}/os-instance-actions", [&s](const ApiRequest& r) { return list_actions(s, r); });
  router.add("GET", "/compute/v2.1/servers/{id}/os-instance-actions/{request_id}", [&s](const ApiRequest& r) { return show_action(s, r); });
}

}  // namespace ca
