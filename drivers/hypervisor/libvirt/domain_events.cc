#include "drivers/hypervisor/libvirt/domain_events.h"

namespace ca::lv {
namespace {

using Kind = DomainEvent::Kind;

// libvirt's names of the details, by number.
std::string detail_name(std::initializer_list<const char*> names, int detail) {
  if (detail < 0 || static_cast<std::size_t>(detail) >= names.size()) return std::to_string(detail);
  return names.begin()[detail];
}

DomainEvent make(Kind kind, std::initializer_list<const char*> names, int detail) {
  return DomainEvent{.kind = kind, .detail = detail_name(names, detail)};
}

}  // namespace

std::optional<DomainEvent> lifecycle_event(int event, int detail) {
  switch (event) {
    case VIR_DOMAIN_EVENT_DEFINED: return make(Kind::kDefined, {"added", "updated", "renamed", "from snapshot"}, detail);
    case VIR_DOMAIN_EVENT_UNDEFINED: return make(Kind::kUndefined, {"removed", "renamed"}, detail);
    case VIR_DOMAIN_EVENT_STARTED: return make(Kind::kStarted, {"booted", "migrated", "restored", "from snapshot", "wakeup"}, detail);
    case VIR_DOMAIN_EVENT_SUSPENDED:
      return make(Kind::kSuspended,
                  {"paused", "migrated", "I/O error", "watchdog", "restored", "from snapshot", "API error", "postcopy", "postcopy failed"},
                  detail);
    case VIR_DOMAIN_EVENT_RESUMED:
      return make(Kind::kResumed, {"unpaused", "migrated", "from snapshot", "postcopy", "postcopy failed"}, detail);
    case VIR_DOMAIN_EVENT_STOPPED:
      return make(Kind::kStopped, {"shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot"}, detail);
    case VIR_DOMAIN_EVENT_SHUTDOWN: return make(Kind::kShutdown, {"finished", "by the guest", "by the host"}, detail);
    case VIR_DOMAIN_EVENT_PMSUSPENDED: return make(Kind::kSuspended, {"guest suspended to memory", "guest suspended to disk"}, detail);
    case VIR_DOMAIN_EVENT_CRASHED: return make(Kind::kCrashed, {"panicked", "crashloaded"}, detail);
    default: return std::nullopt;
  }
}

void name_domain(virDomainPtr domain, DomainEvent& event) {
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  if (virDomainGetUUIDString(domain, uuid) == 0) event.uuid = uuid;
  if (const char* name = virDomainGetName(domain)) event.name = name;
}

PowerState power_state_of(int state) {
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN: return PowerState::kRunning;
    case VIR_DOMAIN_PAUSED: return PowerState::kPaused;
    case VIR_DOMAIN_SHUTOFF: return PowerState::kShutdown;
    case VIR_DOMAIN_CRASHED: return PowerState::kCrashed;
    case VIR_DOMAIN_PMSUSPENDED: return PowerState::kSuspended;
    default: return PowerState::kNoState;
  }
}

}  // namespace ca::lv
