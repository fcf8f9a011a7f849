#include "agent/core/clock.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace ca {

std::int64_t SystemClock::wall_us() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::int64_t SystemClock::mono_us() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string iso_seconds(std::int64_t wall_us) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(wall_us / 1000000)));
}

std::string iso_micros(std::int64_t wall_us) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}", fmt::gmtime(static_cast<std::time_t>(wall_us / 1000000)), wall_us % 1000000);
}

}  // namespace ca
