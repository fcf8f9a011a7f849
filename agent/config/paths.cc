#include "agent/config/paths.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace ca {
namespace {

// Every id was checked where it came in. One that is no uuid here is a defect that could name a foreign path, so it ends the
// program rather than an operation.
const Uuid& checked(const Uuid& id) {
  if (!is_uuid(id)) {
    fmt::print(stderr, "compute-agent: defect: '{:.80}' is not a uuid and cannot be part of a path\n", id);
    std::abort();
  }
  return id;
}

std::string digest_hex(std::string_view text, const EVP_MD* kind) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, kind, nullptr) != 1) {
    fmt::print(stderr, "compute-agent: OpenSSL refuses SHA-1 or MD5, which name files of the image cache and NFS mounts\n");
    std::abort();
  }
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace

Paths::Paths(const Config& config)
    : instances_(config.instances_path),
      base_name_(config.image_cache_subdirectory_name),
      networks_(config.state_path + "/networks"),
      data_(config.data_path),
      token_file_(config.token_file),
      nfs_mounts_(config.nfs_mount_point_base) {}

std::string Paths::base_dir() const { return instances_ + "/" + base_name_; }

// nova names cached images so (virt/libvirt/imagecache.py, get_cache_fname).
std::string Paths::base_image(const Uuid& image_id) const { return base_dir() + "/" + digest_hex(checked(image_id), EVP_sha1()); }

std::string Paths::locks_dir() const { return instances_ + "/locks"; }

std::string Paths::networks_dir() const { return networks_; }

std::string Paths::instance_dir(const Uuid& uuid) const { return instances_ + "/" + checked(uuid); }

std::string Paths::resize_dir(const Uuid& uuid) const { return instance_dir(uuid) + "_resize"; }

std::string Paths::disk(const Uuid& uuid) const { return instance_dir(uuid) + "/disk"; }

std::string Paths::config_drive(const Uuid& uuid) const { return instance_dir(uuid) + "/disk.config"; }

std::string Paths::disk_info(const Uuid& uuid) const { return instance_dir(uuid) + "/disk.info"; }

std::string Paths::console_log(const Uuid& uuid) const { return instance_dir(uuid) + "/console.log"; }

std::string Paths::record_copy(const Uuid& uuid) const { return instance_dir(uuid) + "/instance.json"; }

std::string Paths::database() const { return data_ + "/agent.db"; }

std::string Paths::token_file() const { return token_file_; }

std::string Paths::image_store() const { return data_ + "/images"; }

std::string Paths::secrets_dir() const { return data_ + "/secrets"; }

std::string Paths::volume_secret(const Uuid& volume) const { return secrets_dir() + "/" + checked(volume); }

std::string Paths::nfs_mount(const std::string& export_address) const { return nfs_mounts_ + "/" + digest_hex(export_address, EVP_md5()); }

std::string Paths::stored_image(const Uuid& image_id) const { return image_store() + "/" + checked(image_id); }

}  // namespace ca
