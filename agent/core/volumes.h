#pragma once
// Volumes and their snapshots, with the states and words of the Volume API v3.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/core/block_devices.h"

namespace ca {

struct VolumeAttachment {
  Uuid id;
  Uuid instance_uuid;
  std::string host;
  std::string device_name;  // "/dev/vdb"
  std::int64_t attached_us = 0;
};

struct Volume {
  Uuid id;
  std::string name;
  std::string description;
  std::string project_id;
  std::string user_id;
  std::int64_t size_gib = 0;
  std::string status = "creating";  // available, reserved, attaching, in-use, detaching, extending, deleting, error, error_deleting, ...
  std::string backend = "file";     // file, rbd, or connected: what another service handed over in connection_info
  DiskFormat format = DiskFormat::kRaw;
  std::string availability_zone = "nova";
  bool bootable = false;
  bool multiattach = false;
  bool read_only = false;
  Uuid image_id;     // made from
  Uuid snapshot_id;  // made from
  Uuid source_volume_id;
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::string> image_metadata;  // volume_image_metadata
  std::vector<VolumeAttachment> attachments;
  std::string connection_info;  // JSON of a connected volume without its secrets, which lie in a root-only file
  std::string fault;            // why it is in an error state
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};

struct VolumeSnapshot {
  Uuid id;
  std::string name;
  std::string description;
  std::string project_id;
  Uuid volume_id;
  std::int64_t size_gib = 0;
  std::string status = "creating";  // available, deleting, error, error_deleting
  std::map<std::string, std::string> metadata;
  std::string fault;
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};

}  // namespace ca
