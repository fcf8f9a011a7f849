#pragma once
// What image properties and flavor extra specs ask for, read and checked once for all converters. Names and meanings are nova's
// (nova/objects/image_meta.py, nova/api/validation/extra_specs).

#include <map>
#include <string>

#include "agent/core/values.h"

namespace ca {

struct CpuTopology {
  std::int64_t sockets = 0, cores = 0, threads = 0;  // 0: not asked for
};

struct GuestOptions {
  // Empty: the default of the device's converter.
  std::string disk_bus, cdrom_bus, scsi_model, vif_model, machine, video_model, input_bus, pointer_model, rng_model;
  std::string os_type;  // "", linux, windows
  std::string watchdog_action = "disabled";
  std::string pmu;  // "", on, off
  bool guest_agent = false;
  bool boot_menu = false;
  bool multiqueue = false;
  bool hpet = false;
  bool hide_from_flavor = false, hide_from_image = false;  // of the hypervisor, from the guest
  bool rng_allowed = true;
  std::int64_t rng_rate_bytes = 0, rng_rate_period = 0;
  std::int64_t video_ram_mib = 0, video_ram_max_mib = 0;
  CpuTopology flavor_topology, flavor_topology_max;
  CpuTopology image_topology, image_topology_max;
  std::map<std::string, std::int64_t> quota;  // "cpu_shares", "disk_read_bytes_sec", "vif_inbound_average", ...
};

// kInvalid names the property, its value and the values allowed. What nova knows and this agent cannot do yet is refused, unless its
// value asks for nothing; what nobody knows is ignored in an image (as nova does) and refused in `hw:` and `quota:` extra specs.
[[nodiscard]] Result<GuestOptions> image_options(const ImageMeta& image);
[[nodiscard]] Result<GuestOptions> guest_options(const Flavor& flavor, const ImageMeta& image);

// Of properties as they are stored with an image: what some host may do one day is taken, what makes no sense nowhere is refused.
[[nodiscard]] Result<void> check_image_properties(const Properties& properties);

}  // namespace ca
