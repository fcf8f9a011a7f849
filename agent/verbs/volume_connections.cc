#include "agent/verbs/volume_connections.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "drivers/files/durable_file.h"
#include "drivers/files/instance_dir.h"

namespace ca {
namespace {

constexpr std::size_t kLongestKey = 4096;

Result<Json> info_of(const Volume& volume) {
  Json info = Json::parse(volume.connection_info, nullptr, false);
  if (!info.is_object() || !info.contains("data") || !info.at("data").is_object()) {
    return fail(Code::kInternal, fmt::format("the connection of volume {} can't be read", volume.id),
                "delete the volume and connect it again");
  }
  return info;
}

// "192.0.2.1:3260", "[2001:db8::1]:3260"
DiskSource::Host portal_host(const std::string& portal) {
  const std::size_t colon = portal.rfind(':');
  std::string address = portal.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  return {std::move(address), portal.substr(colon + 1)};
}

DiskSource iscsi_source(const Volume& volume, const Json& data) {
  DiskSource source;
  source.kind = DiskSource::Kind::kIscsi;
  source.path = fmt::format("{}/{}", data.at("target_iqn").get<std::string>(), data.value("target_lun", 0));
  source.hosts.push_back(portal_host(data.at("target_portal")));
  if (data.value("auth_method", "") == "CHAP") {
    source.auth_user = data.at("auth_username");
    source.auth_secret = volume.id;
  }
  return source;
}

DiskSource rbd_source(const Volume& volume, const Json& data) {
  DiskSource source;
  source.kind = DiskSource::Kind::kRbd;
  source.path = data.at("name");
  const Json hosts = data.value("hosts", Json::array());
  const Json ports = data.value("ports", Json::array());
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    source.hosts.push_back({hosts[i].get<std::string>(), i < ports.size() ? ports[i].get<std::string>() : std::string()});
  }
  if (data.value("auth_enabled", false)) {
    source.auth_user = data.at("auth_username");
    // Without a key of its own the volume uses a secret that libvirt has already.
    source.auth_secret = data.value("secret_uuid", volume.id);
  }
  return source;
}

bool is_block_device(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISBLK(info.st_mode);
}

Result<void> check_there(const Volume& volume, const DiskSource& source) {
  if (source.kind == DiskSource::Kind::kBlock && !is_block_device(source.path)) {
    return fail(Code::kNotFound, fmt::format("{} of volume {} is no block device of this host", source.path, volume.id),
                "make it, then order this again");
  }
  if (source.kind != DiskSource::Kind::kFile) return {};
  CA_TRY(const bool there, regular_file_exists(source.path));
  if (there) return {};
  return fail(Code::kNotFound, fmt::format("the file {} of volume {} is not there", source.path, volume.id),
              "mount its export there, then order this again");
}

std::string usage_name(const Volume& volume, const DiskSource& source) { return fmt::format("{} ({})", source.path, volume.id); }

}  // namespace

std::string take_keys(Json& connection_info) {
  Json& data = connection_info.at("data");
  std::string key;
  for (const char* name : {"auth_password", "keyring"}) {
    if (const auto found = data.find(name); found != data.end()) {
      key = found->get<std::string>();
      data.erase(found);
    }
  }
  return key;
}

Result<void> keep_key(const Services& s, const Volume& volume, const std::string& key) {
  if (key.empty()) return {};
  CA_TRY_VOID(make_directories(s.paths.secrets_dir()));
  if (::chmod(s.paths.secrets_dir().c_str(), 0700) != 0) return fail_errno(errno, "cannot restrict " + s.paths.secrets_dir());
  return write_text_file(s.paths.volume_secret(volume.id), key, 0600);
}

Result<void> remove_stray_keys(const Services& s) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(s.paths.secrets_dir(), error)) {
    const std::string name = entry.path().filename();
    if (is_uuid(name) && s.store.get<Volume>(name)) continue;
    CA_TRY_VOID(remove_file(entry.path()));
  }
  return {};
}

Result<DiskSource> connected_source(const Services& s, const Volume& volume) {
  CA_TRY(const Json info, info_of(volume));
  const Json& data = info.at("data");
  const std::string type = info.value("driver_volume_type", "");
  try {
    if (type == "iscsi") return iscsi_source(volume, data);
    if (type == "rbd") return rbd_source(volume, data);
    DiskSource source;
    if (type == "local") {
      source.kind = DiskSource::Kind::kBlock;
      source.path = data.at("device_path");
      return source;
    }
    if (type == "nfs") {
      source.path = s.paths.nfs_mount(data.at("export")) + "/" + data.at("name").get<std::string>();
      return source;
    }
  } catch (const Json::exception& e) {
    return fail(Code::kInternal, fmt::format("the connection of volume {} lacks something: {}", volume.id, e.what()),
                "delete the volume and connect it again");
  }
  return fail(Code::kInvalid, fmt::format("driver_volume_type '{:.40}' is not known; known are iscsi, rbd, local, nfs", type));
}

Result<void> open_connection(Services& s, const Volume& volume) {
  CA_TRY(const DiskSource source, connected_source(s, volume));
  CA_TRY_VOID(check_there(volume, source));
  if (source.auth_secret != volume.id) return {};
  CA_TRY(const bool kept, regular_file_exists(s.paths.volume_secret(volume.id)));
  if (!kept) return fail(Code::kNotFound, fmt::format("the key of volume {} is gone", volume.id), "delete the volume and connect it again");
  CA_TRY(std::string key, read_tail(s.paths.volume_secret(volume.id), kLongestKey));
  const auto usage = source.kind == DiskSource::Kind::kRbd ? Secret::Usage::kCeph : Secret::Usage::kIscsi;
  if (auto set = s.hypervisor.set_secret({volume.id, usage, usage_name(volume, source), std::move(key)}); !set) {
    return wrap(std::move(set).error(), fmt::format("volume {} can't be connected", volume.id));
  }
  return {};
}

Result<void> close_connection(Services& s, const Volume& volume) {
  CA_TRY(const DiskSource source, connected_source(s, volume));
  return source.auth_secret == volume.id ? s.hypervisor.remove_secret(volume.id) : Result<void>{};
}

}  // namespace ca
