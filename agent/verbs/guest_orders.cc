// What is asked of a running guest and changes nothing of the instance.

#include <fmt/format.h>

#include "agent/verbs/life.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

Result<void> as_before(Tx& /*tx*/, Instance& record) {
  record.task_state = TaskState::kNone;
  return {};
}

// nova: os_admin_user of the image, else what the guest's system calls its administrator.
std::string admin_user(const ImageMeta& image) {
  const auto property = [&](const char* name) {
    const auto found = image.properties.find(name);
    return found == image.properties.end() ? std::string() : found->second;
  };
  if (std::string user = property("os_admin_user"); !user.empty()) return user;
  return property("os_type") == "windows" ? "Administrator" : "root";
}

Step nmi_step(Services& s) {
  Step step{.name = "inject_nmi", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) { return s.hypervisor.inject_nmi(ctx.instance().uuid); };
  return step;
}

Step password_step(Services& s) {
  Step step{.name = "set_password", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) {
    const Instance& instance = ctx.instance();
    return s.hypervisor.set_user_password(instance.uuid, admin_user(instance.image), ctx.op().args.at("new_pass").get<std::string>());
  };
  return step;
}

}  // namespace

Verb trigger_crash_dump(Services& s) {
  Verb verb = plain_verb(s, "trigger_crash_dump", "trigger_crash_dump", Order::kCrashDump, TaskState::kNone);
  verb.steps = {nmi_step(s)};
  verb.on_success = as_before;
  return verb;
}

// The password is dropped from the journal as soon as the operation is over.
Verb set_admin_password(Services& s) {
  Verb verb = plain_verb(s, "set_admin_password", "changePassword", Order::kSetPassword, TaskState::kUpdatingPassword);
  verb.steps = {password_step(s)};
  const auto forget = [](Tx& tx, const Instance& record) { return tx.forget_argument("set_admin_password", record.uuid, "new_pass"); };
  verb.on_success = [forget](Tx& tx, Instance& record) -> Result<void> {
    CA_TRY_VOID(forget(tx, record));
    return as_before(tx, record);
  };
  verb.on_failure = [&s, forget](Tx& tx, Instance& record, const Fault& fault) -> Result<void> {
    CA_TRY_VOID(forget(tx, record));
    return settle_failed(s, tx, record, fault);
  };
  return verb;
}

}  // namespace ca
