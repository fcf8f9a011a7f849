// Orders that put an instance on another root disk: rescue, unrescue, rebuild.

#include <fmt/format.h>

#include "agent/api/compute/server_orders.h"
#include "agent/api/compute/server_view.h"
#include "agent/core/base64.h"
#include "agent/core/ids.h"
#include "agent/verbs/steps.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

// As nova's utils.generate_password: 12 characters, none that is mistaken for another.
std::string new_password() {
  constexpr std::string_view kLetters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  std::string password;
  while (password.size() < 12) {
    const auto byte = static_cast<unsigned char>(random_bytes(1).front());
    if (byte < 256 / kLetters.size() * kLetters.size()) password += kLetters[byte % kLetters.size()];
  }
  return password;
}

std::string text_of(const Json& body, const char* name) {
  if (!body.is_object() || !body.contains(name) || body.at(name).is_null()) return {};
  return body.at(name).get<std::string>();
}

std::string password_of(const Json& body) {
  const std::string given = text_of(body, "adminPass");
  return given.empty() ? new_password() : given;
}

Result<Json> rescue_args(ApiServices& s, const Instance& instance, const Json& body) {
  CA_TRY_VOID(check_local_root(instance, "Rescue"));
  const Uuid image = text_of(body, "rescue_image_ref");
  CA_TRY_VOID(rescue_image_for(s.verbs, instance, image));
  Json args{{"rescue_password", password_of(body)}};
  if (!image.empty()) args["rescue_image_ref"] = image;
  return args;
}

ApiResponse rescue_answer(const Json& args) {
  ApiResponse response;
  response.body = Json{{"adminPass", args.at("rescue_password")}};
  return response;
}

Result<std::string> public_key(ApiServices& s, const std::string& name) {
  if (name.empty()) return std::string();
  const auto pair = s.verbs.store.get<Keypair>(std::string(kUserId) + "/" + name);
  if (!pair) {
    return fail(Code::kInvalid, fmt::format("Invalid key_name provided: there is no keypair '{}'", name),
                "`computectl keypair list` shows the keys");
  }
  return pair->public_key;
}

Result<Json> rebuild_args(ApiServices& s, const Instance& instance, const Json& body) {
  CA_TRY_VOID(check_local_root(instance, "Rebuild"));
  CA_TRY_VOID(rebuild_image_for(s.verbs, instance, body.at("imageRef")));
  CA_TRY_VOID(public_key(s, text_of(body, "key_name")));
  if (auto decoded = base64_decode(text_of(body, "user_data")); !decoded) {
    return wrap(std::move(decoded).error(), "Invalid input for field user_data",
                "send the user data as base64, as RFC 4648 says, without line breaks");
  }
  return Json{
      {"image_ref", body.at("imageRef")}, {"new_pass", password_of(body)}, {"preserve_ephemeral", body.value("preserve_ephemeral", false)}};
}

// What the order renames shows at once, as in nova.
Result<void> record_rebuild(ApiServices& s, Tx&, Instance& record, const Json& body, const Json&) {
  if (body.contains("name")) record.name = body.at("name");
  if (body.contains("metadata")) record.metadata = body.at("metadata").get<Properties>();
  if (body.contains("description")) record.description = text_of(body, "description");
  if (body.contains("user_data")) record.user_data = text_of(body, "user_data");
  if (body.contains("key_name")) {
    record.key_name = text_of(body, "key_name");
    CA_TRY(record.key_data, public_key(s, record.key_name));
  }
  return {};
}

ApiResponse rebuild_view(ApiServices& s, const Uuid& uuid, const Json& args) {
  ApiResponse response;
  const auto record = s.verbs.store.get<Instance>(uuid);
  if (!record) return response;  // deleted meanwhile
  JsonText text;
  write_server(text, *record, server_view_context(s.verbs.store));
  Json server = Json::parse(std::move(text).take());
  server["adminPass"] = args.at("new_pass");
  response.body = Json{{"server", std::move(server)}};
  return response;
}

}  // namespace

std::vector<ServerOrder> rescue_orders() {
  return {
      {.action = "rescue",
       .method = "rescue_instance",
       .kind = always(Order::kRescue, TaskState::kRescuing),
       .args = rescue_args,
       .answer = rescue_answer},
      {.action = "unrescue", .method = "unrescue_instance", .kind = always(Order::kUnrescue, TaskState::kUnrescuing)},
      {.action = "rebuild",
       .method = "rebuild_instance",
       .kind = always(Order::kRebuild, TaskState::kRebuilding),
       .args = rebuild_args,
       .record = record_rebuild,
       .view = rebuild_view},
  };
}

}  // namespace ca
