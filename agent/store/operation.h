#pragma once
// One row of the journal: an order that was taken over, and how far it got.

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "agent/core/records_json.h"

namespace ca {

struct Operation {
  enum class State { kOpen, kUndoing, kDone, kFailed };

  std::int64_t id = 0;
  std::string unique_id;  // of the message; at most one operation each
  std::string method;
  Uuid instance_uuid;
  std::string request_id;
  Json args;
  std::string msg_id;  // call: where the reply goes; both empty for a cast
  std::string reply_q;
  State state = State::kOpen;
  std::int64_t next_step = 0;  // kOpen: first unfinished; kUndoing: next to undo, counting down, -1 when through
  Json scratch = Json::object();
  std::optional<Fault> error;
  std::int64_t deadline_us = 0;
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};

[[nodiscard]] std::string_view to_string(Operation::State state);

}  // namespace ca
