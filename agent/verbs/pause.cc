#include <fmt/format.h>

#include "agent/verbs/life.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

RecordChange now(VmState vm, PowerState power) {
  return [vm, power](Tx&, Instance& record) -> Result<void> {
    record.vm_state = vm;
    record.task_state = TaskState::kNone;
    record.power_state = power;
    return {};
  };
}

Step pause_step(Services& s) {
  Step step{.name = "pause", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    if (auto done = s.hypervisor.suspend(ctx.instance().uuid); !done) {
      return wrap(std::move(done).error(), fmt::format("{} can't be paused", ctx.instance().domain()));
    }
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const PowerState state, seen_state(s, ctx.instance().uuid));
    return state == PowerState::kPaused ? s.hypervisor.resume(ctx.instance().uuid) : Result<void>{};
  };
  return step;
}

Step unpause_step(Services& s) {
  Step step{.name = "unpause", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    if (auto done = s.hypervisor.resume(ctx.instance().uuid); !done) {
      return wrap(std::move(done).error(), fmt::format("{} can't be unpaused", ctx.instance().domain()));
    }
    return {};
  };
  return step;
}

// libvirt's managed save, as nova: the memory goes to a file of libvirt's, and the next start goes on from there.
Step save_step(Services& s) {
  Step step{.name = "save", .limit = std::chrono::seconds(s.config.operation_timeout), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    if (auto saved = s.hypervisor.managed_save(ctx.instance().uuid); !saved) {
      return wrap(std::move(saved).error(), fmt::format("the memory of {} can't be saved", ctx.instance().domain()));
    }
    return {};
  };
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const PowerState state, seen_state(s, ctx.instance().uuid));
    return state == PowerState::kShutdown ? s.hypervisor.create(ctx.instance().uuid) : Result<void>{};
  };
  return step;
}

// A definition that is there belongs to the saved memory and stays as it is.
Step define_if_gone_step(Services& s) {
  Step step = define_step(s, false);
  step.run = [&s, define = std::move(step.run)](StepContext& ctx) -> Result<void> {
    CA_TRY(const PowerState state, seen_state(s, ctx.instance().uuid));
    return state == PowerState::kNoState ? define(ctx) : Result<void>{};
  };
  return step;
}

}  // namespace

Verb pause_instance(Services& s) {
  Verb verb = plain_verb(s, "pause_instance", "pause", Order::kPause, TaskState::kPausing);
  verb.steps = {pause_step(s)};
  verb.on_success = now(VmState::kPaused, PowerState::kPaused);
  return verb;
}

Verb unpause_instance(Services& s) {
  Verb verb = plain_verb(s, "unpause_instance", "unpause", Order::kUnpause, TaskState::kUnpausing);
  verb.steps = {unpause_step(s)};
  verb.on_success = now_running;
  return verb;
}

Verb suspend_instance(Services& s) {
  Verb verb = plain_verb(s, "suspend_instance", "suspend", Order::kSuspend, TaskState::kSuspending);
  verb.steps = {save_step(s)};
  verb.on_success = now(VmState::kSuspended, PowerState::kShutdown);
  return verb;
}

Verb resume_instance(Services& s) {
  Verb verb = plain_verb(s, "resume_instance", "resume", Order::kResume, TaskState::kResuming);
  Step plug = plug_ports_step(s);
  plug.undo = {};
  verb.steps = {std::move(plug), define_if_gone_step(s), start_step(s, false)};
  verb.on_success = now_running;
  return verb;
}

}  // namespace ca
