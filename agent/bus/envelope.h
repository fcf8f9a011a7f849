#pragma once
// oslo.messaging 2.0 envelopes: {"oslo.version": "2.0", "oslo.message": "<JSON>"}. Pure.

#include <string>
#include <string_view>

#include "agent/core/error.h"
#include "agent/journal/message.h"
#include "agent/runtime/schema_set.h"

namespace ca {

constexpr std::size_t kLargestMessage = 1 << 20;  // bytes

// Decodes and checks the envelope and the arguments (schemas/messages/<method>.json). kInvalid / kTooLarge with the reason;
// `partial` (may be null) receives what was understood before the failure, so that a caller can still be answered.
[[nodiscard]] Result<Message> decode_envelope(std::string_view body, SchemaSet& schemas, Message* partial = nullptr);

[[nodiscard]] std::string encode_envelope(const Message& message);

// Reply bodies, as oslo.messaging serialises them.
[[nodiscard]] std::string encode_result(const std::string& msg_id, const nlohmann::json& result);
[[nodiscard]] std::string encode_failure(const std::string& msg_id, const Error& error);

}  // namespace ca
