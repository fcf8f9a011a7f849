#include "agent/service_notify.h"

#include <systemd/sd-daemon.h>

namespace ca {

void notify_ready() { sd_notify(0, "READY=1\nSTATUS=serving"); }

void notify_stopping() { sd_notify(0, "STOPPING=1\nSTATUS=draining"); }

void start_watchdog(TimerQueue& timers) {
  std::uint64_t interval_us = 0;
  if (sd_watchdog_enabled(0, &interval_us) <= 0) return;
  sd_notify(0, "WATCHDOG=1");
  timers.after(std::chrono::milliseconds(interval_us / 2000), [&timers] { start_watchdog(timers); });
}

}  // namespace ca
