#pragma once
// A rescued guest's devices, in nova's order (nova/virt/libvirt/blockinfo.py): the rescue disk, the old root disk, the config drive.

#include "agent/domainxml/domain_xml.h"
#include "agent/verbs/services.h"

namespace ca {

inline constexpr const char* kRescueDisk = "disk.rescue";
inline constexpr const char* kRescueConfigDrive = "disk.config.rescue";

// The record with the rescue image's properties in place of its own image's: they choose the devices.
[[nodiscard]] Instance as_rescue_guest(const Instance& recorded);
// Rearranges the disks of a guest that was laid out as as_rescue_guest() says. Nothing else is attached while it is rescued.
void put_rescue_disks(Services& s, const Instance& recorded, GuestSpec& spec);
[[nodiscard]] std::string rescue_config_drive(Services& s, const Uuid& uuid);

}  // namespace ca
