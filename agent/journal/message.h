#pragma once
// A decoded message: what is left of an envelope once it was checked.

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace ca {

struct Message {
  std::string method;
  nlohmann::json args = nlohmann::json::object();
  std::string version = "6.0";
  std::string unique_id;
  std::string msg_id;  // of a call
  std::string reply_q;
  std::optional<double> timeout_s;
  std::string request_id;
  std::string user_id;
  std::string project_id;
};

}  // namespace ca
