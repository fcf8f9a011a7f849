#include <fmt/format.h>

#include <algorithm>

#include "agent/domainxml/converters.h"

namespace ca {

Result<std::string> vif_model(const ImageMeta& image) {
  CA_TRY(const GuestOptions options, image_options(image));
  return options.vif_model.empty() ? std::string("virtio") : options.vif_model;
}

namespace domainxml {
namespace {

constexpr std::int64_t kMaxTapQueues = 256;  // of a tap device since Linux 4.0

// inbound and outbound, each with average, peak, burst (libvirt: KiB/s and KiB). libvirt wants an average in each.
Result<void> add_bandwidth(Node node, const GuestOptions& options) {
  Node bandwidth;
  for (const std::string direction : {"inbound", "outbound"}) {
    Node way;
    for (const std::string part : {"average", "peak", "burst"}) {
      const auto given = options.quota.find(std::string("vif_").append(direction).append("_").append(part));
      if (given == options.quota.end()) continue;
      if (!way && part != "average") {
        return fail(Code::kInvalid,
                    fmt::format("extra spec quota:vif_{}_{} is set without quota:vif_{}_average", direction, part, direction),
                    "set the average too");
      }
      if (!bandwidth) bandwidth = add(node, "bandwidth");
      if (!way) way = add(bandwidth, direction.c_str());
      set(way, part.c_str(), given->second);
    }
  }
  return {};
}

void add_driver(Node node, const GuestSpec& spec, const GuestOptions& options) {
  const std::int64_t vcpus = spec.instance.flavor.vcpus;
  // libvirt would switch vhost on for emulated guests too.
  if (spec.virt_type == "qemu") {
    set(add(node, "driver"), "name", "qemu");
  } else if (options.multiqueue && vcpus > 1) {
    Node driver = add(node, "driver");
    set(driver, "name", "vhost");
    set(driver, "queues", std::min(vcpus, kMaxTapQueues));
  }
}

}  // namespace

Result<void> add_interface(Node devices, const NicDevice& nic, const GuestSpec& spec, const GuestOptions& options) {
  if (!is_uuid(nic.port.id) || nic.bridge.empty() || nic.port.mac_address.empty()) {
    return fail(Code::kInvalid, fmt::format("port '{:.80}' has no uuid, MAC address or bridge", nic.port.id));
  }
  Node node = add(devices, "interface");
  set(node, "type", "bridge");
  set(add(node, "mac"), "address", nic.port.mac_address);
  set(add(node, "source"), "bridge", nic.bridge);
  set(add(node, "target"), "dev", tap_name(nic.port.id));
  set(add(node, "model"), "type", nic.model);
  if (nic.model == "virtio") add_driver(node, spec, options);
  CA_TRY_VOID(add_bandwidth(node, options));
  set(add(node, "mtu"), "size", nic.mtu);
  return {};
}

}  // namespace domainxml
}  // namespace ca
