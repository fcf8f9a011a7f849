#pragma once
// From a volume's record to what a guest is given: where its storage is, and the key to it.

#include "agent/domainxml/domain_xml.h"
#include "agent/verbs/services.h"

namespace ca {

// Makes the volume's storage ready for a guest of this host: its key in libvirt, its file there. Idempotent.
Result<void> connect_volume(Services& s, const Volume& volume);
// Nobody on this host uses it any more. Idempotent.
Result<void> disconnect_volume(Services& s, const Volume& volume);

// The guest's <disk> for a block device of the instance's.
[[nodiscard]] Result<DiskDevice> volume_disk(Services& s, const Instance& instance, const BlockDevice& device);
// Connects every volume of the instance and adds its disks: the one it boots from first, the others last.
Result<void> add_volume_disks(Services& s, const Instance& instance, std::vector<DiskDevice>& disks);

}  // namespace ca
