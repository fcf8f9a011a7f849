#pragma once
// The plain values everything else passes around. No I/O, no behaviour beyond small derivations.
// Units are in the names: _mib, _gib, _bytes, _us (microseconds since the epoch).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/block_devices.h"
#include "agent/core/ids.h"
#include "agent/core/states.h"

namespace ca {

using Properties = std::map<std::string, std::string>;

struct Flavor {
  std::string id;
  std::string name;
  std::int64_t vcpus = 1;
  std::int64_t memory_mib = 0;
  std::int64_t root_gib = 0;  // 0: as large as the image (nova's rule)
  std::int64_t ephemeral_gib = 0;
  std::int64_t swap_mib = 0;
  double rxtx_factor = 1.0;
  bool is_public = true;
  std::string description;
  Properties extra_specs;
};

enum class ImageStatus { kQueued, kSaving, kActive, kDeleted };
[[nodiscard]] std::string_view to_string(ImageStatus status);

struct ImageMeta {
  Uuid id;
  std::string name;
  ImageStatus status = ImageStatus::kQueued;
  DiskFormat disk_format = DiskFormat::kUnknown;
  std::string container_format = "bare";
  std::int64_t size_bytes = 0;          // of the stored file
  std::int64_t virtual_size_bytes = 0;  // of the disk inside, established by the inspector
  std::int64_t min_disk_gib = 0;
  std::int64_t min_ram_mib = 0;
  std::string visibility = "shared";  // public, private, shared, community
  bool is_protected = false;
  bool hidden = false;
  std::string checksum;      // md5, as Image v2 shows it
  std::string os_hash_algo;  // "sha512"
  std::string os_hash_value;
  std::string location;  // "rbd://<fsid>/<pool>/<image>/<snapshot>": raw in Ceph; empty: a file of the image store
  std::string owner;
  std::vector<std::string> tags;
  Properties properties;  // hw_*, os_*, anything else
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};

enum class NetworkKind { kNat, kIsolated, kBridge };
[[nodiscard]] std::string_view to_string(NetworkKind kind);  // "nat", "isolated", "bridge"

struct Network {
  Uuid id;
  std::string name;
  std::string project_id;
  NetworkKind kind = NetworkKind::kNat;
  std::string bridge;  // host bridge; made by us for nat and isolated, existing for kBridge
  std::int64_t mtu = 1500;
  bool admin_state_up = true;
  bool shared = false;
  bool external = false;
  std::string description;
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};

struct AddressRange {
  std::string start;
  std::string end;
};

struct Subnet {
  Uuid id;
  std::string name;
  Uuid network_id;
  std::string project_id;
  int ip_version = 4;
  std::string cidr;
  std::string gateway_ip;  // empty: none
  bool enable_dhcp = true;
  std::vector<AddressRange> allocation_pools;
  std::vector<std::string> dns_nameservers;
  std::string description;
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};

struct FixedIp {
  Uuid subnet_id;
  std::string ip_address;
};

struct Port {
  Uuid id;
  std::string name;
  Uuid network_id;
  std::string project_id;
  Uuid device_id;            // instance, or empty
  std::string device_owner;  // "compute:nova"
  std::string host;
  std::string mac_address;
  std::vector<FixedIp> fixed_ips;
  std::string status = "DOWN";  // ACTIVE, DOWN
  bool admin_state_up = true;
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};

struct Keypair {
  std::string name;
  std::string type = "ssh";
  std::string public_key;
  std::string fingerprint;
  std::string user_id;
  std::int64_t created_us = 0;
};

// The compute service of one host, as `compute service list` shows it.
struct Service {
  std::string host;
  bool disabled = false;
  std::string disabled_reason;
  bool forced_down = false;
  std::int64_t updated_us = 0;
};

struct Fault {
  Code code = Code::kInternal;
  std::string step;
  std::string message;              // outermost sentence
  std::vector<std::string> causes;  // whole chain, outermost first
  std::string next_action;
  std::int64_t created_us = 0;
};

// What an instance reserves on its host.
struct Claim {
  std::int64_t vcpus = 0;
  std::int64_t memory_mib = 0;
  std::int64_t disk_gib = 0;
};

struct Instance {
  Uuid uuid;
  std::int64_t number = 0;  // instance-%08x
  std::string name;         // display name: any text; never part of a path or command
  std::string hostname;     // sanitised, RFC 1123
  std::string project_id;
  std::string user_id;
  std::string host;
  std::string availability_zone = "nova";
  Flavor flavor;    // as it was when ordered
  ImageMeta image;  // as it was when ordered
  std::string key_name;
  std::string key_data;   // public key
  std::string user_data;  // base64, as the API carries it
  Properties metadata;
  std::vector<std::string> tags;
  std::string description;
  bool config_drive = true;
  bool locked = false;
  std::string locked_by;  // "owner" or "admin"
  std::string locked_reason;
  std::string reservation_id;
  std::int64_t launch_index = 0;
  VmState vm_state = VmState::kBuilding;
  TaskState task_state = TaskState::kScheduling;
  PowerState power_state = PowerState::kNoState;
  std::vector<Uuid> port_ids;               // in NIC order
  std::vector<Uuid> own_port_ids;           // made by the build, deleted with the instance
  std::vector<BlockDevice> block_devices;   // ordered beyond the flavor: ephemeral disks, swap, volumes
  std::vector<LocalDisk> local_disks;       // made by the agent, as the guest orders them
  std::string root_device_name;             // "/dev/vda"
  std::optional<ImageMeta> rescue_image;    // while rescued
  std::optional<Flavor> old_flavor;         // while resized: what a revert goes back to
  VmState old_vm_state = VmState::kActive;  // what an unrescue, revert or unshelve goes back to
  Uuid shelved_image_id;
  Properties system_metadata;
  std::optional<Claim> claim;  // what is reserved now
  std::optional<Fault> fault;
  std::int64_t generation = 1;  // grows when the instance changes hosts; fences a returning host
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
  std::int64_t launched_us = 0;
  std::int64_t terminated_us = 0;
  std::int64_t soft_deleted_us = 0;
  std::int64_t shelved_us = 0;

  [[nodiscard]] std::string domain() const { return domain_name(number); }
};

// One entry of `server event list`: an order and its steps.
struct ActionEvent {
  std::string event;  // step, "compute_define"
  std::int64_t start_us = 0;
  std::int64_t finish_us = 0;
  std::string result;  // "", "Success", "Error"
  std::string details;
};

struct InstanceAction {
  std::string request_id;
  Uuid instance_uuid;
  std::string action;  // create, delete, start, stop, reboot
  std::string user_id;
  std::string project_id;
  std::int64_t start_us = 0;
  std::int64_t updated_us = 0;
  std::string message;  // "Error" when it failed, as nova; the chain is in the events
  std::vector<ActionEvent> events;
};

}  // namespace ca
