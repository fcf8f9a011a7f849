// Steps of orders that take a guest down and start it on something else: rescue, unrescue, rebuild, shelve.

#include <fmt/format.h>

#include "agent/verbs/steps.h"
#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

constexpr const char* kLost = "lost";

Result<void> define_and_start(Services& s, StepContext& ctx) {
  CA_TRY_VOID(define_step(s, false).run(ctx));
  return start_step(s, false).run(ctx);
}

}  // namespace

Result<void> check_local_root(const Instance& instance, std::string_view what) {
  if (!boots_from_volume(instance)) return {};
  return fail(Code::kInvalid, fmt::format("{} is not supported for volume-backed instances: {} boots from a volume", what, instance.uuid),
              "work on the volume: `computectl volume snapshot create --force` copies it while it is attached");
}

void mark_lost(StepContext& ctx) { ctx.scratch()[kLost] = true; }

bool is_lost(StepContext& ctx) { return ctx.scratch().value(kLost, false); }

Step take_down_step(Services& s) {
  Step step = power_off_step(s);
  step.limit = std::chrono::seconds(180);
  step.undo = [&s](StepContext& ctx) -> Result<void> {
    if (is_lost(ctx) || ctx.instance().old_vm_state != VmState::kActive) return {};
    return define_and_start(s, ctx);
  };
  return step;
}

Step start_if_step(Services& s, std::function<bool(const StepContext&)> wanted) {
  Step step = start_step(s, true);
  step.run = [run = step.run, wanted = std::move(wanted)](StepContext& ctx) -> Result<void> {
    if (!wanted(ctx)) return {};
    return run(ctx);
  };
  return step;
}

}  // namespace ca
