#pragma once
// One disk by itself, for a guest that runs already, and what a domain's XML says of its disks. Pure.

#include <string>
#include <string_view>

#include "agent/domainxml/domain_xml.h"

namespace ca {

// The <disk> element as domain_xml() writes it into the whole.
[[nodiscard]] Result<std::string> disk_device_xml(const DiskDevice& disk, const Flavor& flavor, const ImageMeta& image);
// <target dev=> of the disk with that serial; empty: the domain has none.
[[nodiscard]] Result<std::string> disk_target(const std::string& domain_xml, const std::string& serial);

// The bus of volumes: hw_disk_bus of the image, else virtio.
[[nodiscard]] Result<std::string> volume_bus(const ImageMeta& image);
// "vd", "sd" or "hd".
[[nodiscard]] std::string bus_prefix(std::string_view bus);

}  // namespace ca
