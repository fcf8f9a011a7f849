#pragma once
// Block devices of an instance: what was ordered beyond its flavor's root disk, and the files or images the agent made of it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/ids.h"

namespace ca {

// Formats of the Image API that we know. kUnknown never reaches a driver.
enum class DiskFormat { kUnknown, kRaw, kQcow2, kVmdk, kVdi, kVhd, kVhdx, kIso };
[[nodiscard]] std::string_view to_string(DiskFormat format);
[[nodiscard]] DiskFormat disk_format_from(std::string_view text);

// source_type and destination_type of nova's block_device_mapping_v2.
enum class BlockSource { kBlank, kImage, kVolume, kSnapshot };
enum class BlockDestination { kLocal, kVolume };
[[nodiscard]] std::string_view to_string(BlockSource source);            // "blank", "image", "volume", "snapshot"
[[nodiscard]] std::string_view to_string(BlockDestination destination);  // "local", "volume"

// An ephemeral disk (blank, local), swap (blank, local, guest_format "swap") or a volume.
struct BlockDevice {
  Uuid id;  // of the attachment
  BlockSource source = BlockSource::kVolume;
  BlockDestination destination = BlockDestination::kVolume;
  std::int64_t boot_index = -1;  // 0: boots from it; -1: never
  std::string device_name;       // "/dev/vdb"; empty: the next free one
  std::int64_t size_gib = 0;     // of swap MiB, as nova counts it
  std::string guest_format;      // ext4, vfat, xfs, swap; empty: the default
  bool delete_on_termination = false;
  std::string tag;
  std::string disk_bus;     // empty: that of the image
  std::string device_type;  // "disk", "cdrom", "lun"; empty: disk
  Uuid volume_id;
  Uuid image_id;
  Uuid snapshot_id;
};

// What a guest's <disk> reads and writes.
struct DiskSource {
  enum class Kind { kFile, kBlock, kRbd, kIscsi };
  struct Host {
    std::string name;  // address or host name
    std::string port;  // empty: the protocol's own
  };
  Kind kind = Kind::kFile;
  std::string path;         // absolute path; kRbd: "pool/image"; kIscsi: "<target iqn>/<lun>"
  std::vector<Host> hosts;  // monitors, portal
  std::string auth_user;    // cephx or CHAP; empty: none
  Uuid auth_secret;         // libvirt's secret with the key; never the key itself
  std::string config_file;  // kRbd: ceph.conf; empty: the default
};

// A disk that the agent made for an instance, in the order the guest sees them. Its format comes from here, never from its content.
struct LocalDisk {
  std::string name;     // "disk", "disk.eph0", "disk.swap", "disk.rescue"
  std::string storage;  // "qcow2", "raw", "rbd": the back end it was made by
  DiskFormat format = DiskFormat::kUnknown;
  std::int64_t size_bytes = 0;
  std::string device_name;   // "/dev/vda"
  std::string guest_format;  // file system the agent put on it; empty: none
};

}  // namespace ca
