#include "agent/verbs/life.h"

#include "agent/verbs/volume_records.h"

namespace ca {
namespace {

constexpr std::int64_t kGib = std::int64_t{1} << 30;

}  // namespace

Verb plain_verb(Services& s, std::string method, std::string action, Order order, TaskState task) {
  Verb verb;
  verb.method = std::move(method);
  verb.action = std::move(action);
  verb.order = order;
  verb.accept = [order, task](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_order(order, message, tx));
    record.task_state = task;
    return record;
  };
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) { return settle_failed(s, tx, record, fault); };
  return verb;
}

Result<void> now_running(Tx& /*tx*/, Instance& record) {
  record.vm_state = VmState::kActive;
  record.task_state = TaskState::kNone;
  record.power_state = PowerState::kRunning;
  record.fault.reset();
  return {};
}

Result<PowerState> seen_state(Services& s, const Uuid& uuid) {
  auto state = s.hypervisor.power_state(uuid);
  if (!state && state.error().code == Code::kNotFound) return PowerState::kNoState;
  return state;
}

bool is_off(PowerState state) { return state == PowerState::kNoState || state == PowerState::kShutdown || state == PowerState::kCrashed; }

Claim claim_of(const Instance& instance) {
  const std::int64_t root = boots_from_volume(instance) ? 0 : (root_bytes(instance) + kGib - 1) / kGib;
  return {instance.flavor.vcpus, instance.flavor.memory_mib,
          root + instance.flavor.ephemeral_gib + (instance.flavor.swap_mib + 1023) / 1024};
}

}  // namespace ca
