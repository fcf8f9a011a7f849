#pragma once
// A rescued guest's devices, in nova's order (nova/virt/libvirt/blockinfo.py): the rescue disk, the old root disk, the config drive.
// Nothing else is attached while it is rescued.

#include <string>
#include <vector>

#include "agent/domainxml/domain_xml.h"
#include "agent/verbs/services.h"

namespace ca {

inline constexpr const char* kRescueDisk = "disk.rescue";
inline constexpr const char* kRescueConfigDrive = "disk.config.rescue";

// The record with the rescue image's properties in place of its own image's: they choose the devices.
[[nodiscard]] Instance as_rescue_guest(const Instance& recorded);
// The disks of what as_rescue_guest() gives.
[[nodiscard]] Result<std::vector<DiskDevice>> rescue_disk_devices(Services& s, const Instance& guest, const std::string& machine);
[[nodiscard]] std::string rescue_config_drive(Services& s, const Uuid& uuid);

}  // namespace ca
