#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "agent/api/api_services.h"
#include "agent/core/ids.h"

namespace ca {

Result<Json> checked_body(ApiServices& s, const ApiRequest& request, const std::string& schema) {
  CA_TRY(Json body, parse_json(request.raw_body, static_cast<std::size_t>(s.verbs.config.max_body_bytes)));
  if (auto good = s.schemas.check("rest/" + schema, body); !good) return wrap(std::move(good).error(), "Invalid input");
  return body;
}

Result<void> publish_order(ApiServices& s, Tx& tx, const std::string& method, Json args, const std::string& request_id) {
  // What the journal would refuse must be refused now: the record is marked for this order in the same transaction.
  if (auto good = s.schemas.check("messages/" + method, args); !good) return wrap(std::move(good).error(), "Invalid input");
  Message message;
  message.method = method;
  message.args = std::move(args);
  message.unique_id = new_message_id();
  message.request_id = request_id;
  message.user_id = kUserId;
  message.project_id = kProjectId;
  return s.bus.publish(tx, "compute." + s.verbs.config.host, message);
}

Result<Page> page_of(const ApiRequest& request, const std::vector<std::string>& ids) {
  constexpr std::size_t kLargestPage = 1000;
  Page page{0, ids.size(), false};
  if (const std::string marker = request.query_or("marker", ""); !marker.empty()) {
    const auto at = std::ranges::find(ids, marker);
    if (at == ids.end()) return fail(Code::kInvalid, fmt::format("marker [{}] not found", marker));
    page.first = static_cast<std::size_t>(at - ids.begin()) + 1;
  }
  std::size_t limit = kLargestPage;
  if (const std::string text = request.query_or("limit", ""); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc{} || end != text.data() + text.size()) {
      return fail(Code::kInvalid, fmt::format("limit '{}' is not a number of 0 or more", text));
    }
    limit = limit == 0 ? kLargestPage : std::min(limit, kLargestPage);
  }
  page.count = std::min(limit, ids.size() - page.first);
  page.more = page.first + page.count < ids.size();
  return page;
}

}  // namespace ca
