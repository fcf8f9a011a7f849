// The message decoder: any bytes. What it takes must be what its promise says, and survive being sent on.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "agent/bus/envelope.h"

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static ca::SchemaSet schemas;
  ca::Message partial;
  const auto message = ca::decode_envelope({reinterpret_cast<const char*>(data), size}, schemas, &partial);
  if (!message) {
    require(!message.error().chain().empty() && !message.error().action().empty(), "a refusal says why and what to do");
    return 0;
  }
  require(schemas.has("messages/" + message->method), "a method that is taken has a schema");
  require(schemas.check("messages/" + message->method, message->args).has_value(), "arguments that are taken follow it");
  require(message->unique_id.size() >= 8 && message->unique_id.size() <= 64, "a message that is taken has an id");
  require(!message->request_id.empty(), "a message that is taken has a request id");
  require(message->method == partial.method && message->msg_id == partial.msg_id, "what could be answered early is the same");
  if (size > ca::kLargestMessage / 8) return 0;  // escaped once more it may be too large
  const auto again = ca::decode_envelope(ca::encode_envelope(*message), schemas);
  require(again.has_value() && again->args == message->args && again->unique_id == message->unique_id, "sent on, it is the same message");
  return 0;
}
