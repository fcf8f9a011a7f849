#pragma once
// Time behind an interface, so that tests decide what time it is.

#include <chrono>
#include <cstdint>
#include <string>

namespace ca {

using Millis = std::chrono::milliseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock, microseconds since the epoch (UTC).
  [[nodiscard]] virtual std::int64_t wall_us() const = 0;
  // Monotonic, microseconds.
  [[nodiscard]] virtual std::int64_t mono_us() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t wall_us() const override;
  [[nodiscard]] std::int64_t mono_us() const override;
};

// 2026-11-21T05:30:00Z, the Compute API's form.
[[nodiscard]] std::string iso_seconds(std::int64_t wall_us);
// 2026-11-21T05:30:00.000000, the form of actions and services.
[[nodiscard]] std::string iso_micros(std::int64_t wall_us);

}  // namespace ca
