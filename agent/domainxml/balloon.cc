#include "agent/domainxml/converters.h"

namespace ca::domainxml {

void add_balloon(Node devices, const GuestSpec& spec) {
  if (spec.mem_stats_period_seconds <= 0) return;
  Node balloon = add(devices, "memballoon");
  set(balloon, "model", "virtio");
  set(add(balloon, "stats"), "period", spec.mem_stats_period_seconds);
}

}  // namespace ca::domainxml
