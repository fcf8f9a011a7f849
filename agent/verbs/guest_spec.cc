#include <fmt/format.h>

#include "agent/domainxml/domain_xml.h"
#include "agent/verbs/rescue_spec.h"
#include "agent/verbs/steps.h"

namespace ca {
namespace {

// "x86_64=q35" of [libvirt] hw_machine_type; the image's own property goes before it.
std::string machine_for(const Config& config, const Instance& instance, const std::string& arch) {
  if (const auto own = instance.image.properties.find("hw_machine_type"); own != instance.image.properties.end()) return own->second;
  for (const std::string& entry : config.hw_machine_type) {
    if (entry.starts_with(arch + "=")) return entry.substr(arch.size() + 1);
  }
  return {};
}

std::string cache_mode(const Config& config) {
  for (const std::string& entry : config.disk_cachemodes) {
    if (entry.starts_with("file=")) return entry.substr(5);
  }
  return "none";
}

}  // namespace

Result<std::string> guest_xml(Services& s, const Instance& recorded) {
  const Instance instance = recorded.rescue_image ? as_rescue_guest(recorded) : recorded;
  CA_TRY(const VirtChoice virt, s.virt());
  CA_TRY(const auto nics, nic_records(s, instance));
  GuestSpec spec;
  spec.instance = instance;
  spec.virt_type = virt.type;
  spec.machine = machine_for(s.config, instance, spec.arch);
  spec.cpu_mode = s.config.cpu_mode;
  spec.cpu_models = s.config.cpu_models;
  spec.cpu_model_extra_flags = s.config.cpu_model_extra_flags;
  spec.console_log = s.paths.console_log(instance.uuid);
  spec.vnc = s.config.vnc_enabled;
  spec.vnc_listen = s.config.vnc_server_listen;
  spec.rng_dev_path = s.config.rng_dev_path;
  spec.mem_stats_period_seconds = s.config.mem_stats_period_seconds;
  spec.product_version = COMPUTE_AGENT_VERSION;
  CA_TRY(const DiskPlan plan, plan_disks(instance.image, spec.machine));
  DiskDevice root;
  root.source = s.disks.source(s.disks.address(instance.uuid, "disk"));
  root.format = s.disks.format();
  root.bus = plan.root_bus;
  root.target = plan.root_target;
  root.cache = cache_mode(s.config);
  root.discard = s.config.hw_disk_discard;
  spec.disks.push_back(root);
  if (instance.config_drive) {
    DiskDevice drive;
    drive.kind = DiskDevice::Kind::kCdrom;
    drive.source.path = s.paths.config_drive(instance.uuid);
    drive.format = DiskFormat::kRaw;
    drive.bus = plan.cdrom_bus;
    drive.target = plan.cdrom_target;
    drive.cache = root.cache;
    spec.disks.push_back(drive);
  }
  if (recorded.rescue_image) put_rescue_disks(s, recorded, spec);
  CA_TRY(const std::string model, vif_model(instance.image));
  for (const NicRecords& nic : nics) {
    const std::string bridge = nic.network.bridge.empty() ? s.networks.bridge_for(nic.network) : nic.network.bridge;
    spec.nics.push_back({nic.port, bridge, model, nic.network.mtu});
  }
  return domain_xml(spec);
}

}  // namespace ca
