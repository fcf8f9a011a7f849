#pragma once
// systemd's notify protocol and watchdog (sd_notify(3)); nothing happens where systemd is not the one who started us.

#include "agent/runtime/timer_queue.h"

namespace ca {

void notify_ready();
void notify_stopping();
// Pings at half of WatchdogSec from the timer thread: an agent whose control loop stands still is restarted.
void start_watchdog(TimerQueue& timers);

}  // namespace ca
