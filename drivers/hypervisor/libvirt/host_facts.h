#pragma once
// libvirt's capabilities document read into HostFacts. Pure.

#include <string>

#include "drivers/hypervisor.h"

namespace ca::lv {

// Fills arch, CPU model, vendor, features and the emulator of the host's own architecture. kExternal when it is no such document.
Result<void> read_capabilities(const std::string& xml, HostFacts& facts);

}  // namespace ca::lv
