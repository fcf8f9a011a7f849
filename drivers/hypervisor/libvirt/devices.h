#pragma once
// libvirt's calls on a domain's devices and on secrets, as the hypervisor uses them. What failed is libvirt's last error of the thread.

#include <libvirt/libvirt.h>

#include <chrono>
#include <string>

#include "drivers/hypervisor.h"

namespace ca::lv {

[[nodiscard]] unsigned scope_flag(DeviceScope scope);
// The thread's last error says that the device to detach is not there. Drivers have three codes for it.
[[nodiscard]] bool device_is_missing();

enum class Copy { kComplete, kRefused, kBroken, kTooLate };
// Copies a disk into a raw file that is there, by a mirror that is ended once it has all: the disk as it is at that moment.
[[nodiscard]] Copy copy_disk(virDomainPtr domain, const std::string& target, const std::string& path, std::chrono::seconds limit);

[[nodiscard]] bool define_secret(virConnectPtr conn, const Secret& secret);
[[nodiscard]] bool undefine_secret(virConnectPtr conn, const std::string& id);

}  // namespace ca::lv
