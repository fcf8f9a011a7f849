#include "agent/domainxml/converters.h"

namespace ca::domainxml {

void add_watchdog(Node devices, const GuestOptions& options) {
  if (options.watchdog_action == "disabled") return;
  Node watchdog = add(devices, "watchdog");
  set(watchdog, "model", "i6300esb");
  set(watchdog, "action", options.watchdog_action);
}

}  // namespace ca::domainxml
