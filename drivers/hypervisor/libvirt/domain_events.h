#pragma once
// libvirt's lifecycle events as ours.

#include <libvirt/libvirt.h>

#include <optional>

#include "drivers/hypervisor.h"

namespace ca::lv {

// Nothing for events that say nothing new (a change of a definition's name, for instance).
[[nodiscard]] std::optional<DomainEvent> lifecycle_event(int event, int detail);
void name_domain(virDomainPtr domain, DomainEvent& event);
// nova's view (nova/virt/libvirt/guest.py): blocked, and shutting down, still is running.
[[nodiscard]] PowerState power_state_of(int state);

}  // namespace ca::lv
