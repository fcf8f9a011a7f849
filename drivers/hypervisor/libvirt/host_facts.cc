#include "drivers/hypervisor/libvirt/host_facts.h"

#include <pugixml.hpp>

namespace ca::lv {

Result<void> read_capabilities(const std::string& xml, HostFacts& facts) {
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size());
  const auto root = document.child("capabilities");
  if (!parsed || !root) {
    return fail(Code::kExternal,
                "libvirt's capabilities cannot be read: " + std::string(parsed ? "no <capabilities>" : parsed.description()));
  }
  const auto cpu = root.child("host").child("cpu");
  facts.arch = cpu.child_value("arch");
  facts.cpu_model = cpu.child_value("model");
  facts.cpu_vendor = cpu.child_value("vendor");
  facts.cpu_features.clear();
  for (const auto feature : cpu.children("feature")) facts.cpu_features.emplace_back(feature.attribute("name").value());
  for (const auto guest : root.children("guest")) {
    const auto arch = guest.child("arch");
    if (std::string_view(guest.child_value("os_type")) != "hvm" || arch.attribute("name").value() != facts.arch) continue;
    facts.emulator = arch.child_value("emulator");
    break;
  }
  return {};
}

}  // namespace ca::lv
