// Pause, suspend, lock, resize, restore, and what is asked of a running guest.

#include <fmt/format.h>

#include "agent/api/compute/server_orders.h"
#include "agent/verbs/life.h"

namespace ca {
namespace {

// Notes an action that is done with the transaction it is noted in.
Result<void> note_action(Tx& tx, const ApiRequest& request, const Uuid& uuid, const std::string& action) {
  return tx.start_action({request.request_id, uuid, action, kUserId, kProjectId, tx.now_us(), tx.now_us(), "", {}});
}

using Change = std::function<void(Instance&)>;

// One change of the record; `action` is noted unless it is empty.
Result<ApiResponse> change_server(ApiServices& s, const ApiRequest& request, const std::string& action, const Change& change) {
  const Uuid uuid = request.param("id");
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    auto record = tx.get<Instance>(uuid);
    if (!record) return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", uuid));
    change(*record);
    record->updated_us = tx.now_us();
    if (!action.empty()) CA_TRY_VOID(note_action(tx, request, uuid, action));
    return tx.put(*record);
  }));
  ApiResponse response;
  response.status = 202;
  return response;
}

Result<ApiResponse> lock_server(ApiServices& s, const ApiRequest& request, const Json& body) {
  const std::string reason = body.is_object() ? body.value("locked_reason", "") : "";
  return change_server(s, request, "lock", [reason](Instance& record) {
    record.locked = true;
    record.locked_by = "admin";
    record.locked_reason = reason;
  });
}

Result<ApiResponse> unlock_server(ApiServices& s, const ApiRequest& request, const Json&) {
  return change_server(s, request, "unlock", [](Instance& record) {
    record.locked = false;
    record.locked_by.clear();
    record.locked_reason.clear();
  });
}

// What an administrator says holds, whatever was under way.
Result<ApiResponse> reset_state(ApiServices& s, const ApiRequest& request, const Json& body) {
  const bool active = body.at("state") == "active";
  return change_server(s, request, "", [active](Instance& record) {
    record.vm_state = active ? VmState::kActive : VmState::kError;
    record.task_state = TaskState::kNone;
    if (active) record.fault.reset();
  });
}

Result<Json> resize_args(ApiServices& s, const Instance& instance, const Json& body) {
  const std::string id = body.at("flavorRef");
  const auto flavor = s.verbs.store.get<Flavor>(id);
  if (!flavor) return fail(Code::kInvalid, fmt::format("Flavor {} could not be found.", id), "`computectl flavor list` shows the flavors");
  CA_TRY_VOID(check_order(Order::kResize, instance.vm_state, instance.task_state, instance.uuid));
  CA_TRY_VOID(check_resize(instance, *flavor));
  return Json{{"flavor", to_json(*flavor)}};
}

Result<Json> password_args(ApiServices&, const Instance& instance, const Json& body) {
  const auto agent = instance.image.properties.find("hw_qemu_guest_agent");
  if (agent == instance.image.properties.end() || (agent->second != "yes" && agent->second != "true" && agent->second != "True")) {
    return fail(Code::kConflict, fmt::format("QEMU guest agent is not enabled for instance {}", instance.uuid),
                "set hw_qemu_guest_agent=yes on the image and build from it");
  }
  return Json{{"new_pass", body.at("adminPass")}};
}

}  // namespace

std::vector<ServerOrder> life_orders() {
  return {
      {"pause", "pause_instance", always(Order::kPause, TaskState::kPausing), {}, {}},
      {"unpause", "unpause_instance", always(Order::kUnpause, TaskState::kUnpausing), {}, {}},
      {"suspend", "suspend_instance", always(Order::kSuspend, TaskState::kSuspending), {}, {}},
      {"resume", "resume_instance", always(Order::kResume, TaskState::kResuming), {}, {}},
      {"restore", "restore_instance", always(Order::kRestore, TaskState::kRestoring), {}, {}},
      {"trigger_crash_dump", "trigger_crash_dump", always(Order::kCrashDump, TaskState::kNone), {}, {}},
      {"changePassword", "set_admin_password", always(Order::kSetPassword, TaskState::kUpdatingPassword), password_args, {}},
      {"resize", "resize_instance", always(Order::kResize, TaskState::kResizePrep), resize_args, {}},
      {"confirmResize", "confirm_resize", always(Order::kConfirmResize, TaskState::kResizeConfirming), {}, {}},
      {"revertResize", "revert_resize", always(Order::kRevertResize, TaskState::kResizeReverting), {}, {}},
  };
}

std::vector<ServerCall> life_calls() { return {{"lock", lock_server}, {"unlock", unlock_server}, {"os-resetState", reset_state}}; }

}  // namespace ca
