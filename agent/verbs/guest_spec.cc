#include <fmt/format.h>

#include "agent/domainxml/domain_xml.h"
#include "agent/verbs/local_disks.h"
#include "agent/verbs/rescue_spec.h"
#include "agent/verbs/steps.h"
#include "agent/verbs/volume_disks.h"

namespace ca {
// "x86_64=q35" of [libvirt] hw_machine_type; the image's own property goes before it.
std::string machine_for(const Config& config, const Instance& instance, const std::string& arch) {
  if (const auto own = instance.image.properties.find("hw_machine_type"); own != instance.image.properties.end()) return own->second;
  for (const std::string& entry : config.hw_machine_type) {
    if (entry.starts_with(arch + "=")) return entry.substr(arch.size() + 1);
  }
  return {};
}

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
  if (recorded.rescue_image) {
    CA_TRY(spec.disks, rescue_disk_devices(s, instance, spec.machine));
  } else {
    CA_TRY(spec.disks, local_disk_devices(s, instance, spec.machine));
    CA_TRY_VOID(add_volume_disks(s, instance, spec.disks));
  }
  CA_TRY(const std::string model, vif_model(instance.image));
  for (const NicRecords& nic : nics) {
    const std::string bridge = nic.network.bridge.empty() ? s.networks.bridge_for(nic.network) : nic.network.bridge;
    spec.nics.push_back({nic.port, bridge, model, nic.network.mtu});
  }
  return domain_xml(spec);
}

}  // namespace ca
