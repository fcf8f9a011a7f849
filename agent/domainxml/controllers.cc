#include <algorithm>

#include "agent/domainxml/converters.h"

namespace ca::domainxml {

void add_controllers(Node devices, const GuestSpec& spec, const GuestOptions& options) {
  const auto on_bus = [&](std::string_view bus) { return std::ranges::find(spec.disks, bus, &DiskDevice::bus) != spec.disks.end(); };
  const bool usb_input = spec.vnc && options.input_bus != "virtio";
  // libvirt adds a USB controller by itself unless it is told that there is none.
  Node usb = add(devices, "controller");
  set(usb, "type", "usb");
  set(usb, "index", "0");
  if (!usb_input && !on_bus("usb")) set(usb, "model", "none");
  if (on_bus("scsi") && !options.scsi_model.empty()) {
    Node scsi = add(devices, "controller");
    set(scsi, "type", "scsi");
    set(scsi, "index", "0");
    set(scsi, "model", options.scsi_model);
  }
}

}  // namespace ca::domainxml
