#pragma once
// The actions of POST /servers/{id}/action. One table per family; a new action is a row in one of them, its body in
// schemas/rest/server_action.json, and its verb.

#include <functional>
#include <string>
#include <vector>

#include "agent/api/api_services.h"

namespace ca {

// An action that becomes an order: checked against the state, noted in the record, published. Answers 202.
struct ServerOrder {
  std::string action;  // the body's one member
  std::string method;  // of the message
  // Which order it is and which task_state the record shows until the verb sets its own.
  struct Kind {
    Order order;
    TaskState task;
  };
  std::function<Kind(const Json& body)> kind;
  // Members of the message besides the instance; what is wrong with the body is refused here. May be empty.
  std::function<Result<Json>(ApiServices&, const Instance&, const Json& body)> args = {};
  // What the answer carries (an id, for instance), made from args. May be empty: no body.
  std::function<ApiResponse(const Json& args)> answer = {};
  // Changes the record, and others with it, in the order's own transaction. May be empty.
  std::function<Result<void>(ApiServices&, Tx&, Instance& record, const Json& body, const Json& args)> record = {};
  // Instead of `answer`, where the answer shows the server. May be empty.
  std::function<ApiResponse(ApiServices&, const Uuid&, const Json& args)> view = {};
};

// An action that is done at once: reads, or one transaction.
struct ServerCall {
  std::string action;
  std::function<Result<ApiResponse>(ApiServices&, const ApiRequest&, const Json& body)> run;
};

[[nodiscard]] std::vector<ServerOrder> power_orders();
[[nodiscard]] std::vector<ServerOrder> image_orders();
[[nodiscard]] std::vector<ServerOrder> rescue_orders();
[[nodiscard]] std::vector<ServerOrder> life_orders();
[[nodiscard]] std::vector<ServerCall> life_calls();

// Every row of every family.
[[nodiscard]] std::vector<ServerOrder> server_orders();
[[nodiscard]] std::vector<ServerCall> server_calls();

// A row whose order and task_state do not depend on the body.
[[nodiscard]] inline std::function<ServerOrder::Kind(const Json&)> always(Order order, TaskState task) {
  return [order, task](const Json&) { return ServerOrder::Kind{order, task}; };
}

}  // namespace ca
