#include "agent/domainxml/disk_device.h"

#include <sstream>

#include "agent/domainxml/converters.h"

namespace ca {

Result<std::string> disk_device_xml(const DiskDevice& disk, const Flavor& flavor, const ImageMeta& image) {
  CA_TRY(const GuestOptions options, guest_options(flavor, image));
  pugi::xml_document document;
  CA_TRY_VOID(domainxml::add_disk(document, disk, options));
  std::ostringstream text;
  document.save(text, "  ", pugi::format_indent | pugi::format_no_declaration, pugi::encoding_utf8);
  return text.str();
}

Result<std::string> disk_target(const std::string& domain_xml, const std::string& serial) {
  pugi::xml_document document;
  if (!document.load_buffer(domain_xml.data(), domain_xml.size())) {
    return fail(Code::kExternal, "libvirt's XML of the domain can't be read", "report this with the output of virsh dumpxml");
  }
  for (const auto& disk : document.child("domain").child("devices").children("disk")) {
    if (serial == disk.child_value("serial")) return std::string(disk.child("target").attribute("dev").value());
  }
  return std::string();
}

Result<std::string> volume_bus(const ImageMeta& image) {
  CA_TRY(const GuestOptions options, image_options(image));
  return options.disk_bus.empty() ? "virtio" : options.disk_bus;
}

std::string bus_prefix(std::string_view bus) { return bus == "virtio" ? "vd" : bus == "ide" ? "hd" : bus == "fdc" ? "fd" : "sd"; }

}  // namespace ca
