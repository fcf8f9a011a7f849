#pragma once
// libvirt's errors as ours. The only place that knows its codes.

#include <string>

#include "agent/core/error.h"

namespace ca::lv {

// `code` is a virErrorNumber, `domain` a virErrorDomain, `int1` errno for VIR_ERR_SYSTEM_ERROR.
[[nodiscard]] Code code_of(int code, int domain, int int1);

// The calling thread's last libvirt error, in libvirt's words. Resets it.
[[nodiscard]] Error last_error();

// Keeps libvirt from writing every error to stderr, for the whole process.
void silence_default_handler();

}  // namespace ca::lv
