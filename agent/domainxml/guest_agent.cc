#include "agent/domainxml/converters.h"

namespace ca::domainxml {

// libvirt chooses the socket's path below its own channel directory.
void add_guest_agent(Node devices, const GuestOptions& options) {
  if (!options.guest_agent) return;
  Node channel = add(devices, "channel");
  set(channel, "type", "unix");
  Node target = add(channel, "target");
  set(target, "type", "virtio");
  set(target, "name", "org.qemu.guest_agent.0");
}

}  // namespace ca::domainxml
