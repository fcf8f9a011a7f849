#include <fmt/format.h>

#include "agent/verbs/life.h"

namespace ca {
namespace {

using Kind = DomainEvent::Kind;

constexpr std::chrono::seconds kStartEvent{30};
constexpr std::chrono::seconds kAskAgain{10};  // nova's clean_shutdown retry interval: a guest that still boots misses the first

Result<void> power_off(Services& s, const Uuid& uuid) {
  CA_TRY(const PowerState state, seen_state(s, uuid));
  // Memory that a managed save left would come back with the next start.
  if (is_off(state)) return s.hypervisor.remove_managed_save(uuid);
  if (auto done = s.hypervisor.destroy(uuid); !done) return wrap(std::move(done).error(), fmt::format("cannot power off {}", uuid));
  return {};
}

// Asks until the guest is off or `limit` has passed; that it still runs then is no error here.
Result<void> ask_to_shut_down(Services& s, const StepContext& ctx, std::chrono::seconds limit) {
  const Uuid& uuid = ctx.instance().uuid;
  const auto until = std::chrono::steady_clock::now() + limit;
  while (true) {
    DomainEvents::Waiter waiter(s.events, uuid, {Kind::kStopped, Kind::kCrashed});
    CA_TRY(const PowerState state, seen_state(s, uuid));
    if (state != PowerState::kRunning) return {};  // paused and suspended guests can't answer
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || ctx.cancelled()) return {};
    if (auto asked = s.hypervisor.shutdown(uuid); !asked && asked.error().code != Code::kConflict) {
      return wrap(std::move(asked).error(), fmt::format("cannot ask {} to shut down", uuid));
    }
    if (waiter.wait(std::min<std::chrono::milliseconds>(left, kAskAgain))) return {};
  }
}

}  // namespace

Step define_step(Services& s, bool undoable) {
  Step step{.name = "define", .limit = std::chrono::seconds(60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const std::string xml, guest_xml(s, ctx.instance()));
    if (auto defined = s.hypervisor.define(xml); !defined) {
      return wrap(std::move(defined).error(), fmt::format("libvirt does not define {}", ctx.instance().domain()));
    }
    return {};
  };
  if (undoable) step.undo = [&s](StepContext& ctx) { return s.hypervisor.undefine(ctx.instance().uuid); };
  return step;
}

Step start_step(Services& s, bool undoable) {
  Step step{.name = "start", .limit = std::chrono::seconds(120), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Uuid& uuid = ctx.instance().uuid;
    DomainEvents::Waiter waiter(s.events, uuid, {Kind::kStarted});
    CA_TRY(PowerState state, seen_state(s, uuid));
    if (state == PowerState::kRunning) return {};
    if (auto started = s.hypervisor.create(uuid); !started) {
      return wrap(std::move(started).error(), fmt::format("libvirt does not start {}", ctx.instance().domain()));
    }
    if (waiter.wait(kStartEvent)) return {};
    CA_TRY(state, seen_state(s, uuid));
    if (state == PowerState::kRunning) return {};
    return fail(Code::kExternal, fmt::format("{} was started but is {} now", ctx.instance().domain(), to_string(state)),
                "look at /var/log/libvirt/qemu/" + ctx.instance().domain() + ".log");
  };
  if (undoable) step.undo = [&s](StepContext& ctx) { return power_off(s, ctx.instance().uuid); };
  return step;
}

Step shutdown_step(Services& s) {
  const auto longest = std::max(s.config.shutdown_timeout, s.config.wait_soft_reboot_seconds);
  Step step{.name = "shutdown", .limit = std::chrono::seconds(longest + 60), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Json& args = ctx.op().args;
    if (const std::string type = args.value("reboot_type", ""); !type.empty()) {
      if (type != "SOFT") return {};
      return ask_to_shut_down(s, ctx, std::chrono::seconds(s.config.wait_soft_reboot_seconds));
    }
    if (!args.value("clean_shutdown", true)) return {};
    return ask_to_shut_down(s, ctx, std::chrono::seconds(s.config.shutdown_timeout));
  };
  return step;
}

Step power_off_step(Services& s) {
  return {.name = "power_off",
          .limit = std::chrono::seconds(90),
          .run = [&s](StepContext& ctx) { return power_off(s, ctx.instance().uuid); },
          .undo = {},
          .task = TaskState::kNone};
}

Step undefine_step(Services& s) {
  return {.name = "undefine",
          .limit = std::chrono::seconds(60),
          .run = [&s](StepContext& ctx) { return s.hypervisor.undefine(ctx.instance().uuid); },
          .undo = {},
          .task = TaskState::kNone};
}

}  // namespace ca
