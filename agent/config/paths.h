#pragma once
// The only place that knows the tree under instances_path and data_path. Every path is built from checked parts: uuids and hex
// digests, never from a name that a user chose.

#include <string>

#include "agent/config/config.h"
#include "agent/core/ids.h"

namespace ca {

class Paths {
 public:
  explicit Paths(const Config& config);

  [[nodiscard]] const std::string& instances() const { return instances_; }
  [[nodiscard]] std::string base_dir() const;                        // _base
  [[nodiscard]] std::string base_image(const Uuid& image_id) const;  // _base/<sha1 of image id>
  [[nodiscard]] std::string locks_dir() const;
  [[nodiscard]] std::string networks_dir() const;  // $state_path/networks, as nova-network's networks_path
  [[nodiscard]] std::string instance_dir(const Uuid& uuid) const;
  [[nodiscard]] std::string resize_dir(const Uuid& uuid) const;    // <uuid>_resize: disks as they were before a resize
  [[nodiscard]] std::string disk(const Uuid& uuid) const;          // disk
  [[nodiscard]] std::string config_drive(const Uuid& uuid) const;  // disk.config
  [[nodiscard]] std::string disk_info(const Uuid& uuid) const;     // disk.info
  [[nodiscard]] std::string console_log(const Uuid& uuid) const;   // console.log
  [[nodiscard]] std::string record_copy(const Uuid& uuid) const;   // instance.json
  [[nodiscard]] const std::string& data() const { return data_; }
  [[nodiscard]] std::string database() const;  // agent.db
  [[nodiscard]] std::string token_file() const;
  [[nodiscard]] std::string image_store() const;                       // images/
  [[nodiscard]] std::string stored_image(const Uuid& image_id) const;  // images/<id>
  [[nodiscard]] std::string secrets_dir() const;                       // secrets/
  [[nodiscard]] std::string volume_secret(const Uuid& volume) const;   // secrets/<id>
  // Where an NFS export is mounted: its address' MD5, as nova and Cinder name it.
  [[nodiscard]] std::string nfs_mount(const std::string& export_address) const;

 private:
  std::string instances_, base_name_, networks_, data_, token_file_, nfs_mounts_;
};

}  // namespace ca
