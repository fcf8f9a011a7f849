#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/domainxml/converters.h"

namespace ca {
namespace {

constexpr std::array<std::string_view, 6> kCaches{"none", "writethrough", "writeback", "directsync", "unsafe", "default"};

// QEMU's driver for a format that a guest may get. Anything else was converted before it came here.
Result<std::string> driver_type(const DiskDevice& disk) {
  switch (disk.format) {
    case DiskFormat::kRaw:
    case DiskFormat::kIso: return "raw";
    case DiskFormat::kQcow2: return "qcow2";
    default:
      return fail(Code::kInvalid,
                  fmt::format("disk {} has format '{}'; guests get raw or qcow2", disk.source.path, to_string(disk.format)));
  }
}

std::string source_type(const DiskSource& source) {
  switch (source.kind) {
    case DiskSource::Kind::kFile: return "file";
    case DiskSource::Kind::kBlock: return "block";
    case DiskSource::Kind::kRbd:
    case DiskSource::Kind::kIscsi: return "network";
  }
  return "file";
}

// https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms, source of type network.
void add_network_source(domainxml::Node disk, const DiskSource& source) {
  const bool rbd = source.kind == DiskSource::Kind::kRbd;
  domainxml::Node node = domainxml::add(disk, "source");
  domainxml::set(node, "protocol", rbd ? "rbd" : "iscsi");
  domainxml::set(node, "name", source.path);
  for (const DiskSource::Host& host : source.hosts) {
    domainxml::Node entry = domainxml::add(node, "host");
    domainxml::set(entry, "name", host.name);
    if (!host.port.empty()) domainxml::set(entry, "port", host.port);
  }
  if (!source.config_file.empty()) domainxml::set(domainxml::add(node, "config"), "file", source.config_file);
  if (source.auth_user.empty()) return;
  domainxml::Node auth = domainxml::add(node, "auth");
  domainxml::set(auth, "username", source.auth_user);
  domainxml::Node secret = domainxml::add(auth, "secret");
  domainxml::set(secret, "type", rbd ? "ceph" : "iscsi");
  domainxml::set(secret, "uuid", source.auth_secret);
}

void add_source(domainxml::Node disk, const DiskSource& source) {
  switch (source.kind) {
    case DiskSource::Kind::kFile: domainxml::set(domainxml::add(disk, "source"), "file", source.path); return;
    case DiskSource::Kind::kBlock: domainxml::set(domainxml::add(disk, "source"), "dev", source.path); return;
    case DiskSource::Kind::kRbd:
    case DiskSource::Kind::kIscsi: add_network_source(disk, source); return;
  }
}

std::string name_prefix(std::string_view bus) { return bus == "virtio" ? "vd" : bus == "ide" ? "hd" : "sd"; }

}  // namespace

Result<DiskPlan> plan_disks(const ImageMeta& image, const std::string& machine) {
  CA_TRY(const GuestOptions options, image_options(image));
  const std::string type = domainxml::machine_of(options, machine);
  DiskPlan plan;
  plan.cdrom_bus = options.cdrom_bus;
  if (plan.cdrom_bus.empty()) {
    const bool no_ide = type.starts_with("virt") || type.starts_with("pseries") || type.starts_with("s390-ccw");
    plan.cdrom_bus = no_ide ? "scsi" : domainxml::is_q35(type) ? "sata" : "ide";
  }
  plan.disk_bus = options.disk_bus.empty() ? "virtio" : options.disk_bus;
  plan.root_bus = plan.disk_bus;
  if (image.disk_format == DiskFormat::kIso) plan.root_bus = plan.cdrom_bus;
  if (domainxml::is_q35(type) && (plan.root_bus == "ide" || plan.cdrom_bus == "ide")) {
    return fail(Code::kInvalid, fmt::format("hw_disk_bus or hw_cdrom_bus is 'ide', which machine type {} does not have", type),
                "use sata, scsi, usb or virtio with q35");
  }
  plan.root_target = name_prefix(plan.root_bus) + "a";
  plan.cdrom_target = name_prefix(plan.cdrom_bus) + (name_prefix(plan.cdrom_bus) == name_prefix(plan.root_bus) ? "b" : "a");
  return plan;
}

namespace domainxml {

Result<void> add_disk(Node devices, const DiskDevice& disk, const GuestOptions& options) {
  CA_TRY(const std::string type, driver_type(disk));
  if (std::ranges::find(kCaches, disk.cache) == kCaches.end()) {
    return fail(Code::kInvalid,
                fmt::format("disk {} has cache mode '{}'; known are {}", disk.source.path, disk.cache, fmt::join(kCaches, ", ")));
  }
  const bool cdrom = disk.kind == DiskDevice::Kind::kCdrom;
  Node node = add(devices, "disk");
  set(node, "type", source_type(disk.source));
  set(node, "device", cdrom ? "cdrom" : "disk");
  Node driver = add(node, "driver");
  set(driver, "name", "qemu");
  set(driver, "type", type);
  set(driver, "cache", disk.cache);
  if (!disk.io.empty()) set(driver, "io", disk.io);
  if (!disk.discard.empty()) set(driver, "discard", disk.discard);
  add_source(node, disk.source);
  Node target = add(node, "target");
  set(target, "dev", disk.target);
  set(target, "bus", disk.bus);
  Node tune;
  for (const auto& [name, value] : options.quota) {
    if (!name.starts_with("disk_")) continue;
    if (!tune) tune = add(node, "iotune");
    add_text(tune, name.substr(5).c_str(), value);
  }
  if (!disk.serial.empty()) add_text(node, "serial", disk.serial);
  if (disk.shareable) add(node, "shareable");
  if (cdrom || disk.read_only) add(node, "readonly");
  return {};
}

}  // namespace domainxml
}  // namespace ca
