#include "agent/bus/envelope.h"

#include <fmt/format.h>

#include "agent/core/ids.h"

namespace ca {
namespace {

using nlohmann::json;

std::string text_of(const json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

std::string wrap_oslo(const json& inner) {
  return json{{"oslo.version", "2.0"}, {"oslo.message", inner.dump(-1, ' ', false, json::error_handler_t::replace)}}.dump();
}

// nova's exception classes, so that an oslo.messaging client raises what it knows.
std::string_view exception_class(Code code) {
  switch (code) {
    case Code::kNotFound: return "InstanceNotFound";
    case Code::kConflict: return "InstanceInvalidState";
    case Code::kNoResources: return "ComputeResourcesUnavailable";
    case Code::kUnsafe: return "ImageUnacceptable";
    case Code::kInvalid: return "Invalid";
    default: return "NovaException";
  }
}

}  // namespace

Result<Message> decode_envelope(std::string_view body, SchemaSet& schemas, Message* partial) {
  Message message;
  auto outer = parse_json(body, kLargestMessage);
  if (!outer) return wrap(std::move(outer).error(), "a message is no envelope");
  if (!outer->is_object() || !text_of(*outer, "oslo.version").starts_with("2.")) {
    return fail(Code::kInvalid, "a message is no oslo.messaging 2.x envelope: oslo.version is missing or another");
  }
  auto inner = parse_json(text_of(*outer, "oslo.message"), kLargestMessage);
  if (!inner) return wrap(std::move(inner).error(), "the oslo.message of an envelope is broken");
  if (!inner->is_object()) return fail(Code::kInvalid, "the oslo.message of an envelope is not an object");
  message.method = text_of(*inner, "method");
  message.unique_id = text_of(*inner, "_unique_id");
  message.msg_id = text_of(*inner, "_msg_id");
  message.reply_q = text_of(*inner, "_reply_q");
  message.request_id = text_of(*inner, "_context_request_id");
  message.user_id = text_of(*inner, "_context_user_id");
  message.project_id = text_of(*inner, "_context_project_id");
  message.version = text_of(*inner, "version");
  if (partial != nullptr) *partial = message;
  if (auto good = schemas.check("messages/envelope", *inner); !good) {
    return wrap(std::move(good).error(), fmt::format("message '{}' is malformed", message.method));
  }
  const std::string schema = "messages/" + message.method;
  if (message.method == "envelope" || !schemas.has(schema)) {
    return fail(Code::kInvalid, fmt::format("unknown method '{}'", message.method), "send one of the methods under schemas/messages");
  }
  if (auto good = schemas.check(schema, (*inner)["args"]); !good) {
    return wrap(std::move(good).error(), fmt::format("arguments of '{}' are wrong", message.method));
  }
  message.args = std::move((*inner)["args"]);
  if (const auto timeout = inner->find("_timeout"); timeout != inner->end() && timeout->is_number()) {
    message.timeout_s = timeout->get<double>();
  }
  if (message.request_id.empty()) message.request_id = new_request_id();
  return message;
}

std::string encode_envelope(const Message& m) {
  json inner{{"method", m.method},
             {"args", m.args},
             {"version", m.version},
             {"_unique_id", m.unique_id},
             {"_context_request_id", m.request_id},
             {"_context_user_id", m.user_id},
             {"_context_project_id", m.project_id}};
  if (!m.msg_id.empty()) {
    inner["_msg_id"] = m.msg_id;
    if (!m.reply_q.empty()) inner["_reply_q"] = m.reply_q;
    inner["_timeout"] = m.timeout_s ? json(*m.timeout_s) : json(nullptr);
  }
  return wrap_oslo(inner);
}

std::string encode_result(const std::string& msg_id, const json& result) {
  return wrap_oslo({{"result", result}, {"failure", nullptr}, {"ending", true}, {"_msg_id", msg_id}, {"_unique_id", new_message_id()}});
}

std::string encode_failure(const std::string& msg_id, const Error& error) {
  const json failure{{"class", exception_class(error.code)},
                     {"module", "nova.exception"},
                     {"message", error.chain()},
                     {"tb", error.causes()},
                     {"args", json::array({error.chain()})},
                     {"kwargs", {{"code", to_string(error.code)}, {"step", error.step}, {"next_action", error.action()}}}};
  return wrap_oslo({{"result", nullptr},
                    {"failure", failure.dump(-1, ' ', false, json::error_handler_t::replace)},
                    {"ending", true},
                    {"_msg_id", msg_id},
                    {"_unique_id", new_message_id()}});
}

}  // namespace ca
