#include "tests/data/message_seeds.h"

#include <nlohmann/json.hpp>

#include "agent/core/records_json.h"

namespace ca::testing {
namespace {

constexpr const char* kUuid = "5f2c1d3e-8a4b-4c6d-9e0f-112233445566";

Json inner(const std::string& method, Json args) {
  return {{"method", method},
          {"args", std::move(args)},
          {"version", "6.0"},
          {"_unique_id", "0123456789abcdef0123456789abcdef"},
          {"_context_request_id", "req-5f2c1d3e-8a4b-4c6d-9e0f-112233445566"},
          {"_context_user_id", "user"},
          {"_context_project_id", nullptr}};
}

std::string envelope(const Json& message) { return Json{{"oslo.version", "2.0"}, {"oslo.message", message.dump()}}.dump(); }

Json about_instance() { return {{"instance", {{"uuid", kUuid}}}}; }

Json build_args() {
  Instance instance;
  instance.uuid = kUuid;
  instance.name = "demo \"one\" <&>";
  instance.hostname = "demo-one";
  instance.flavor.id = "1";
  instance.flavor.name = "tiny";
  instance.flavor.memory_mib = 64;
  instance.flavor.root_gib = 1;
  instance.image.id = kUuid;
  instance.image.name = "image";
  instance.image.status = ImageStatus::kActive;
  instance.image.disk_format = DiskFormat::kQcow2;
  instance.image.size_bytes = instance.image.virtual_size_bytes = 1 << 20;
  return {{"instance", to_json(instance)}, {"requested_networks", Json::array({{{"network_id", kUuid}, {"fixed_ip", "10.0.0.5"}}})}};
}

Json with(Json object, const std::string& member, Json value) {
  object[member] = std::move(value);
  return object;
}

}  // namespace

std::vector<MessageSeed> message_seeds() {
  const Json start = inner("start_instance", about_instance());
  Json call = with(start, "_msg_id", "fedcba9876543210");
  call["_reply_q"] = "reply_0123";
  call["_timeout"] = 60;
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  return {
      {"build", envelope(inner("build_and_run_instance", build_args()))},
      {"terminate", envelope(inner("terminate_instance", about_instance()))},
      {"start", envelope(start)},
      {"stop", envelope(inner("stop_instance", with(about_instance(), "clean_shutdown", false)))},
      {"reboot", envelope(inner("reboot_instance", with(about_instance(), "reboot_type", "SOFT")))},
      {"console", envelope(inner("get_console_output", with(about_instance(), "tail_length", 10)))},
      {"ping", envelope(inner("ping", {{"arg", "hello"}}))},
      {"call", envelope(call)},
      {"no_json", "no json", false},
      {"no_version", R"({"oslo.message": "{}"})", false},
      {"no_message", R"({"oslo.version": "2.0"})", false},
      {"broken_message", R"({"oslo.version": "2.0", "oslo.message": "{"})", false},
      {"array_message", R"({"oslo.version": "2.0", "oslo.message": "[]"})", false},
      {"deep_message", Json{{"oslo.version", "2.0"}, {"oslo.message", deep}}.dump(), false},
      {"unknown_method", envelope(inner("live_mutate", about_instance())), false},
      {"method_is_a_path", envelope(inner("../rest/server_create", about_instance())), false},
      {"wrong_type", envelope(inner("start_instance", {{"instance", {{"uuid", 7}}}})), false},
      {"surplus_member", envelope(inner("start_instance", with(about_instance(), "x", 1))), false},
      {"long_timeout", envelope(with(call, "_timeout", 1e300)), false},
  };
}

}  // namespace ca::testing
