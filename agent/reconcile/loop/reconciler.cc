#include "agent/reconcile/loop/reconciler.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/core/ids.h"

namespace ca {
namespace {
constexpr std::chrono::seconds kLookLimit{30};
constexpr std::chrono::seconds kBulkLimit{120};
}  // namespace

Reconciler::Reconciler(Store& store, Journal& journal, Hypervisor& hypervisor, WorkerPool& workers, Publish publish, bool resume_guests)
    : store_(store),
      journal_(journal),
      hypervisor_(hypervisor),
      workers_(workers),
      publish_(std::move(publish)),
      resume_guests_(resume_guests) {}

void Reconciler::look_at(const Uuid& uuid) {
  if (!store_.get<Instance>(uuid) || journal_.has_open(uuid)) return;
  workers_.submit([this, uuid](TaskLease& lease) {
    lease.rearm(kLookLimit, [uuid] { spdlog::error("libvirt did not tell the state of {} in time; it stays as recorded", uuid); });
    look_now(uuid);
  });
}

void Reconciler::look_at_all() {
  workers_.submit([this](TaskLease& lease) {
    lease.rearm(kBulkLimit, [] { spdlog::error("libvirt did not list the domains in time; states stay as recorded"); });
    look_at_all_now();
  });
}

void Reconciler::look_now(const Uuid& uuid) {
  const auto record = store_.get<Instance>(uuid);
  if (!record) return;
  const auto state = hypervisor_.power_state(uuid);
  Seen seen;
  if (state) {
    seen = {Seen::Kind::kThere, *state};
  } else if (state.error().code == Code::kNotFound) {
    seen = {Seen::Kind::kGone, PowerState::kNoState};
  }
  std::vector<Change> changes;
  consider(*record, seen, {}, changes);
  settle(changes);
}

void Reconciler::look_at_all_now() {
  const auto domains = hypervisor_.list_domains();
  if (!domains) {
    spdlog::warn("the domains can't be listed: {}; states stay as recorded", domains.error().chain());
    return;
  }
  std::map<Uuid, PowerState> states;
  for (const DomainSeen& domain : *domains) states[domain.uuid] = domain.state;
  const Moment moment{.starting = !passed_.exchange(true), .resume_guests = resume_guests_};
  std::vector<Change> changes;
  for (const auto& record : store_.all<Instance>()) {
    const auto found = states.find(record->uuid);
    consider(*record, found == states.end() ? Seen{Seen::Kind::kGone, PowerState::kNoState} : Seen{Seen::Kind::kThere, found->second},
             moment, changes);
  }
  settle(changes);
}

void Reconciler::consider(const Instance& record, const Seen& seen, const Moment& moment, std::vector<Change>& changes) const {
  Decision decision = decide(record, seen, journal_.has_open(record.uuid), moment);
  if (decision.action == Decision::Action::kNothing) return;
  spdlog::info("instance {}: {}", record.uuid, decision.reason);
  changes.push_back({record.uuid, std::move(decision)});
}

// One transaction for all: after a host's boot every instance may have changed.
void Reconciler::settle(const std::vector<Change>& changes) {
  if (changes.empty()) return;
  const auto written = store_.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    for (const Change& change : changes) {
      // Deleted since the look: nothing was changed, nothing is to be done.
      if (auto done = apply(tx, change.uuid, change.decision); !done && done.error().code != Code::kNotFound) return done;
    }
    return {};
  });
  if (!written) spdlog::error("what was seen of {} instances can't be recorded: {}", changes.size(), written.error().chain());
}

Result<void> Reconciler::apply(Tx& tx, const Uuid& uuid, const Decision& decision) {
  CA_TRY(Instance record, tx.get<Instance>(uuid));
  // An order may have come since the look.
  if (journal_.has_open(uuid) || record.task_state != TaskState::kNone) return {};
  record.power_state = decision.power;
  switch (decision.action) {
    case Decision::Action::kNothing: return {};
    case Decision::Action::kRecordPower: break;
    case Decision::Action::kMarkActive: record.vm_state = VmState::kActive; break;
    case Decision::Action::kMarkStopped: record.vm_state = VmState::kStopped; break;
    case Decision::Action::kOrderStop:
      record.vm_state = VmState::kActive;
      record.task_state = TaskState::kPoweringOff;
      CA_TRY_VOID(publish_(tx, "stop_instance", uuid));
      break;
    case Decision::Action::kOrderStart:
      record.vm_state = VmState::kStopped;
      record.task_state = TaskState::kPoweringOn;
      CA_TRY_VOID(publish_(tx, "start_instance", uuid));
      break;
    case Decision::Action::kOrderSoftDelete:
      record.vm_state = VmState::kActive;
      record.task_state = TaskState::kSoftDeleting;
      CA_TRY_VOID(publish_(tx, "soft_delete_instance", uuid));
      break;
  }
  record.updated_us = tx.now_us();
  return tx.put(record);
}

}  // namespace ca
