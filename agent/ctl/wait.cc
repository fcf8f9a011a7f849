#include "agent/ctl/wait.h"

#include <algorithm>
#include <memory>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/progress.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

constexpr Millis kFirstInterval{50};
constexpr Millis kLongestInterval{1000};

class Pace {
 public:
  explicit Pace(Context& context) : context_(context) {}
  void pause() {
    context_.sleep(interval_);
    interval_ = std::min(kLongestInterval, interval_ * 3 / 2);
  }

 private:
  Context& context_;
  Millis interval_ = kFirstInterval;
};

Result<Json> get_server(Context& context, const std::string& id) {
  return context.api.record({.path = "/servers/" + percent_encode(id)}, "server");
}

std::string state_text(const Json& server) {
  const std::string task = text_member(server, "OS-EXT-STS:task_state");
  return text_member(server, "name") + ": " + text_member(server, "status") + (task.empty() ? "" : " (" + task + ")");
}

bool has_task(const Json& server) { return !text_member(server, "OS-EXT-STS:task_state").empty(); }

// The newest order of a server that came to rest in a state that was not wanted, and why it ended so.
Error ended_otherwise(Context& context, const Json& server, const std::string& wanted) {
  const std::string id = text_member(server, "id");
  Error error{.code = Code::kConflict,
              .message = "server " + text_member(server, "name") + " (" + id + ") came to rest as " + text_member(server, "status") +
                         ", not " + wanted,
              .next_action = "see what was done: computectl server event list " + id};
  const std::string path = "/servers/" + percent_encode(id) + "/os-instance-actions";
  const auto actions = context.api.list({.path = path}, "instanceActions");
  if (!actions || actions->empty()) return error;
  const auto newest = std::max_element(actions->begin(), actions->end(), [](const Json& a, const Json& b) {
    return text_member(a, "start_time") < text_member(b, "start_time");
  });
  const std::string request = text_member(*newest, "request_id");
  const auto action = context.api.record({.path = path + "/" + percent_encode(request)}, "instanceAction");
  if (!action) return error;
  error.next_action = "see its steps: computectl server event show " + id + " " + request;
  for (const Json& event : array_member(*action, "events")) {
    const std::string details = text_member(event, "details");
    if (text_member(event, "result") != "Error" || details.empty()) continue;
    error.cause = std::make_shared<const Error>(Error{.code = error.code, .message = text_member(event, "event") + ": " + details});
  }
  return error;
}

}  // namespace

Error fault_of(const Json& server) {
  const Json fault = member_or_empty(server, "fault");
  Error cause = error_of_object(fault, Code::kInternal);
  const std::string what = "server " + text_member(server, "name") + " (" + text_member(server, "id") + ") went to ERROR";
  if (cause.message.empty()) {
    return Error{.code = Code::kInternal,
                 .message = what,
                 .next_action = "look at computectl server event list " + text_member(server, "id") + " and the agent's log"};
  }
  return wrap(std::move(cause), what).value();
}

Result<Json> wait_for_status(Context& context, const std::string& id, const std::string& status) {
  return wait_for_any_status(context, id, {status});
}

Result<Json> wait_for_any_status(Context& context, const std::string& id, const std::vector<std::string>& wanted) {
  ProgressLine line(context.err, context.err_is_terminal);
  Pace pace(context);
  while (true) {
    CA_TRY(Json server, get_server(context, id));
    const bool reached = std::find(wanted.begin(), wanted.end(), text_member(server, "status")) != wanted.end();
    if (reached && !has_task(server)) return server;
    if (text_member(server, "status") == "ERROR" && !has_task(server)) return tl::unexpected<Error>(fault_of(server));
    // Compute sets the task before it accepts an order, so a server without one is done with it.
    if (!has_task(server) && text_member(server, "status") != "BUILD")
      return tl::unexpected<Error>(ended_otherwise(context, server, join(wanted, " or ")));
    line.show(state_text(server));
    pace.pause();
  }
}

Result<void> wait_for_delete(Context& context, const Json& before) {
  ProgressLine line(context.err, context.err_is_terminal);
  Pace pace(context);
  while (true) {
    auto server = get_server(context, text_member(before, "id"));
    if (!server && server.error().code == Code::kNotFound) return {};
    if (!server) return tl::unexpected<Error>(std::move(server).error());
    const bool gone =
        text_member(*server, "status") == "DELETED" || (text_member(*server, "status") == "SOFT_DELETED" && !has_task(*server));
    if (gone) return {};
    const bool failed = text_member(*server, "status") == "ERROR" && !has_task(*server);
    const bool of_this_order =
        text_member(before, "status") != "ERROR" || member_or_empty(*server, "fault") != member_or_empty(before, "fault");
    if (failed && of_this_order) return tl::unexpected<Error>(fault_of(*server));
    line.show(state_text(*server));
    pace.pause();
  }
}

Result<Json> wait_for_image(Context& context, const std::string& id) {
  ProgressLine line(context.err, context.err_is_terminal);
  Pace pace(context);
  while (true) {
    CA_TRY(Json image, context.api.json({.service = Service::kImage, .path = "/images/" + percent_encode(id)}));
    const std::string status = text_member(image, "status"), failure = text_member(image, "os_glance_failed_import");
    if (status == "active") return image;
    if (status == "queued" && !failure.empty()) {
      return fail(Code::kExternal, "image " + text_member(image, "name") + " (" + id + ") is not imported: " + failure,
                  "correct what it says, then import again");
    }
    line.show(status);
    pace.pause();
  }
}

}  // namespace ca::ctl
