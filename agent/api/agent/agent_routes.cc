// What is the agent's own: health, version documents, and a door to the message bus for tests and tools.

#include "agent/api/api_services.h"
#include "agent/bus/envelope.h"
#include "agent/core/clock.h"

namespace ca {
namespace {

void take_message(ApiServices& s, const ApiRequest& request, const Reply& reply) {
  const std::string topic = "compute." + s.verbs.config.host;
  // A call that can be read is answered with its reply; anything else is accepted and judged when it is taken out.
  Message partial;
  const auto decoded = decode_envelope(request.raw_body, s.schemas, &partial);
  const bool is_call = !partial.msg_id.empty();
  if (is_call) {
    const double seconds = decoded && decoded->timeout_s ? *decoded->timeout_s : 60.0;
    s.bus.expect_reply(partial.msg_id, std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)),
                       [reply](Result<std::string> body) {
                         if (!body) {
                           reply(tl::unexpected<Error>(std::move(body).error()));
                           return;
                         }
                         ApiResponse response;
                         response.text = *std::move(body);
                         reply(std::move(response));
                       });
  }
  if (auto published = s.bus.publish_raw(topic, request.raw_body); !published) {
    if (!is_call) reply(tl::unexpected<Error>(std::move(published).error()));
    return;
  }
  if (is_call) return;
  ApiResponse response;
  response.status = 202;
  response.body = Json{{"topic", topic}};
  reply(std::move(response));
}

}  // namespace

void add_agent_routes(Router& router, ApiServices& s) {
  router.add_async("POST", "/agent/v1/messages", [&s](const ApiRequest& r, const Reply& reply) { take_message(s, r, reply); });
  router.add("GET", "/agent/v1/status", [&s](const ApiRequest&) -> Result<ApiResponse> {
    const JournalStats journal = s.journal.stats();
    const WorkerStats workers = s.workers.stats();
    ApiResponse response;
    response.body =
        Json{{"version", COMPUTE_AGENT_VERSION},
             {"host", s.verbs.config.host},
             {"started_at", iso_micros(s.started_us)},
             {"hypervisor_up", s.host().hypervisor_up},
             {"instances", s.verbs.store.count<Instance>()},
             {"operations", {{"open", journal.open}, {"parked", journal.parked}, {"done", journal.done}, {"failed", journal.failed}}},
             {"workers", {{"threads", workers.threads}, {"busy", workers.busy}, {"hung", workers.hung}, {"queued", workers.queued}}}};
    return response;
  });
  router.add("GET", "/compute/v2.1", [](const ApiRequest&) -> Result<ApiResponse> {
    ApiResponse response;
    response.body = Json{{"version",
                          {{"id", "v2.1"},
                           {"status", "CURRENT"},
                           {"version", "2.93"},
                           {"min_version", "2.1"},
                           {"updated", "2013-07-23T11:33:21Z"},
                           {"links", Json::array({{{"rel", "self"}, {"href", "/compute/v2.1/"}}})}}}};
    return response;
  });
}

}  // namespace ca
