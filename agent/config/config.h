#pragma once
// The effective options. Names and meanings are nova.conf's where the meaning is the same (nova 26 "Zed"
// configuration reference); ours are marked "ours" in options.cc, which holds the one table of all options:
// section, name, type, default, allowed values or range, help text.

#include <cstdint>
#include <string>
#include <vector>

#include "agent/core/error.h"

namespace ca {

struct Config {
  // [DEFAULT]
  std::string host;                                     // default: the host name
  std::string my_ip;                                    // default: address of the default route's interface, else 127.0.0.1
  std::string state_path;                               // /var/lib/nova
  std::string instances_path;                           // $state_path/instances
  std::string image_cache_subdirectory_name = "_base";  // [image_cache] subdirectory_name
  std::int64_t image_cache_manager_interval = 2400;     // [image_cache] manager_interval, s; -1: never
  std::int64_t image_cache_checksum_interval = 604800;  // [image_cache] checksum_interval_seconds (ours), s; 0: never
  bool remove_unused_base_images = true;
  std::int64_t remove_unused_original_minimum_age_seconds = 86400;
  bool force_raw_images = true;
  std::string preallocate_images = "none";  // none, space
  std::string default_ephemeral_format;     // ext4, vfat, xfs; empty: by the image's os_type
  bool force_config_drive = false;
  std::int64_t reserved_host_memory_mb = 512;
  std::int64_t reserved_host_disk_mb = 0;
  std::int64_t reserved_host_cpus = 0;
  double cpu_allocation_ratio = 4.0;  // nova: initial_cpu_allocation_ratio 4.0 (since 26)
  double ram_allocation_ratio = 1.0;
  double disk_allocation_ratio = 1.0;
  std::int64_t max_concurrent_builds = 10;
  std::int64_t shutdown_timeout = 60;  // s
  bool resume_guests_state_on_host_boot = false;
  std::int64_t reclaim_instance_interval = 0;  // s a deleted instance is kept; 0: it is gone at once
  std::int64_t resize_confirm_window = 0;      // s until a resize is confirmed by itself; 0: never
  std::string default_availability_zone = "nova";
  std::string dhcp_domain = "novalocal";  // [api] dhcp_domain, as nova has it; also read from [DEFAULT]
  bool debug = false;
  std::string log_file;  // empty: stderr (journal under systemd)
  // [libvirt]
  std::string virt_type = "auto";  // auto (ours), kvm, qemu
  std::string connection_uri = "qemu:///system";
  std::string cpu_mode;  // empty: host-model for kvm, none for qemu
  std::vector<std::string> cpu_models;
  std::vector<std::string> cpu_model_extra_flags;
  std::string images_type = "default";  // default (= qcow2), qcow2, raw, rbd
  std::string images_rbd_pool = "rbd";
  std::string images_rbd_ceph_conf;  // empty: Ceph's own search path
  std::string rbd_user;
  std::string rbd_secret_uuid;
  std::int64_t rbd_connect_timeout = 5;  // s
  std::int64_t rbd_destroy_volume_retries = 12;
  std::int64_t rbd_destroy_volume_retry_interval = 5;  // s
  std::vector<std::string> disk_cachemodes;            // "file=writeback"
  std::string hw_disk_discard;                         // unmap, ignore or empty
  std::vector<std::string> hw_machine_type;            // "x86_64=q35"
  std::string rng_dev_path = "/dev/urandom";
  std::int64_t mem_stats_period_seconds = 10;
  std::int64_t wait_soft_reboot_seconds = 120;
  std::string rescue_image_id;            // empty: the instance's own image
  std::string snapshot_image_format;      // qcow2, raw; empty: that of the disk
  std::int64_t shelved_offload_time = 0;  // s; 0: at once, -1: never
  std::int64_t device_detach_attempts = 8;
  std::int64_t device_detach_timeout = 20;  // s, of one attempt
  std::string nfs_mount_point_base;         // $state_path/mnt
  // [glance_store], as glance names them: where images lie when disks are in Ceph
  std::string rbd_store_pool;  // empty: images are files
  std::string rbd_store_user;
  std::string rbd_store_ceph_conf;
  // [vnc] enabled, server_listen
  bool vnc_enabled = true;
  std::string vnc_server_listen = "127.0.0.1";
  // [api] listen, port, token_file, ... (ours where nova splits it over several services)
  std::string api_listen = "127.0.0.1";
  std::int64_t api_port = 8774;
  std::string token_file;                 // $data_path/token
  std::int64_t max_body_bytes = 1 << 20;  // JSON bodies; image uploads are bounded by max_image_bytes
  std::int64_t max_image_bytes = std::int64_t{1} << 40;
  std::vector<std::string> import_allowed_schemes{"http", "https"};
  std::vector<std::string> import_allowed_ports{"80", "443"};
  std::vector<std::string> import_disallowed_hosts;
  // [agent] (ours)
  std::string data_path;                  // /var/lib/compute-agent: agent.db, token, images/
  std::int64_t operation_timeout = 1800;  // s, deadline of a message that names none
  std::int64_t max_workers = 24;          // threads for steps and driver calls, made when needed
  std::int64_t max_hung_workers = 16;
  std::int64_t drain_timeout = 60;  // s, after SIGTERM
  std::string qemu_img = "/usr/bin/qemu-img";
  std::string helper_path;   // of the programs that run only where they are needed (compute-agent-rbd)
  std::string volumes_path;  // $state_path/volumes
};

// Where a value came from, for --print-config.
struct OptionView {
  std::string section, name, value, origin;  // origin: "default", "/etc/compute-agent/compute-agent.conf:12", "command line"
  std::string help;
};

struct LoadedConfig {
  Config config;
  std::vector<std::string> warnings;  // unknown option with the nearest known name, with file and line
  std::vector<OptionView> effective;  // every option, sorted as in the table
};

// Reads the files in order (later wins), then `overrides` ("section.name=value"). An error names file, line, option, the bad
// value and the values allowed.
[[nodiscard]] Result<LoadedConfig> load_config(const std::vector<std::string>& files, const std::vector<std::string>& overrides);
// INI text, each line with its origin as a comment: what --print-config shows. No option holds a secret: secrets
// are files.
[[nodiscard]] std::string print_config(const LoadedConfig& loaded);
// Markdown table of every option with default and meaning, for the README.
[[nodiscard]] std::string options_markdown();

}  // namespace ca
