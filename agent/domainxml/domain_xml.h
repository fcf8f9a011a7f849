#pragma once
// Values in, libvirt domain XML out. Pure: one converter per device class (disk.cc, interface.cc, cpu.cc, console.cc, metadata.cc ...),
// put together here. Same meaning as nova 26.2's XML. Text from users (names) is escaped by pugixml; nothing is concatenated.

#include <string>
#include <vector>

#include "agent/core/values.h"

namespace ca {

struct DiskDevice {
  enum class Kind { kDisk, kCdrom };
  Kind kind = Kind::kDisk;
  DiskSource source;
  DiskFormat format = DiskFormat::kQcow2;  // written into <driver type=>; never left to probing
  std::string target;                      // "vda", "hda", "sda"
  std::string bus = "virtio";              // virtio, scsi, sata, ide, usb
  std::string cache = "none";
  std::string io;       // "native", "threads" or empty: QEMU's default
  std::string discard;  // "unmap", "ignore" or empty
  std::string serial;
  bool shareable = false;  // several guests may write to it
  bool read_only = false;
};

struct NicDevice {
  Port port;
  std::string bridge;
  std::string model = "virtio";
  std::int64_t mtu = 1500;
};

struct GuestSpec {
  Instance instance;
  std::string virt_type = "qemu";  // kvm or qemu
  std::string arch = "x86_64";
  std::string machine;   // empty: libvirt's default for the arch ("pc")
  std::string emulator;  // path; empty: libvirt chooses
  std::string cpu_mode;  // "", none, host-model, host-passthrough, custom, maximum
  std::vector<std::string> cpu_models;
  std::vector<std::string> cpu_model_extra_flags;
  std::vector<DiskDevice> disks;
  std::vector<NicDevice> nics;
  std::string console_log;  // path; serial and console share it
  bool vnc = true;
  std::string vnc_listen = "127.0.0.1";
  std::string rng_dev_path = "/dev/urandom";
  std::int64_t mem_stats_period_seconds = 10;
  std::string product_version;  // of the agent, for SMBIOS and <nova:package>
};

// kInvalid names the property or value that makes no sense (unknown hw_* value, for instance).
[[nodiscard]] Result<std::string> domain_xml(const GuestSpec& spec);

// Device choices that follow from image properties (hw_disk_bus, hw_cdrom_bus, hw_vif_model, hw_machine_type, hw_video_model,
// hw_rng_model, ...): bus and target names for root disk and config drive.
struct DiskPlan {
  std::string root_bus, root_target;    // virtio/vda by default
  std::string disk_bus;                 // of further disks
  std::string cdrom_bus, cdrom_target;  // ide/hda on pc, sata/sda on q35
};
[[nodiscard]] Result<DiskPlan> plan_disks(const ImageMeta& image, const std::string& machine);
[[nodiscard]] Result<std::string> vif_model(const ImageMeta& image);

}  // namespace ca
