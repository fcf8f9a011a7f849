#pragma once
// GuestSpec from the JSON files in tests/data; members that are missing keep the struct's defaults.

#include <nlohmann/json.hpp>

#include "agent/core/records_json.h"
#include "agent/domainxml/domain_xml.h"
#include "tests/unit/test_data.h"

namespace ca::test {

template <typename T>
void take(const Json& json, const char* name, T& into) {
  if (json.contains(name)) into = json.at(name).get<T>();
}

inline DiskDevice disk_from(const Json& json) {
  DiskDevice disk;
  if (json.value("kind", "disk") == "cdrom") disk.kind = DiskDevice::Kind::kCdrom;
  disk.format = disk_format_from(json.at("format").get<std::string>());
  take(json, "path", disk.source.path);
  take(json, "target", disk.target);
  take(json, "bus", disk.bus);
  take(json, "cache", disk.cache);
  take(json, "discard", disk.discard);
  take(json, "serial", disk.serial);
  return disk;
}

inline NicDevice nic_from(const Json& json) {
  NicDevice nic;
  nic.port = port_from_json(json.at("port")).value();
  take(json, "bridge", nic.bridge);
  take(json, "model", nic.model);
  take(json, "mtu", nic.mtu);
  return nic;
}

inline GuestSpec guest_spec(const std::string& name) {
  const Json json = Json::parse(read_data(name));
  GuestSpec spec;
  spec.instance = instance_from_json(json.at("instance")).value();
  take(json, "virt_type", spec.virt_type);
  take(json, "machine", spec.machine);
  take(json, "emulator", spec.emulator);
  take(json, "cpu_mode", spec.cpu_mode);
  take(json, "cpu_models", spec.cpu_models);
  take(json, "cpu_model_extra_flags", spec.cpu_model_extra_flags);
  take(json, "console_log", spec.console_log);
  take(json, "vnc", spec.vnc);
  take(json, "vnc_listen", spec.vnc_listen);
  take(json, "mem_stats_period_seconds", spec.mem_stats_period_seconds);
  take(json, "product_version", spec.product_version);
  for (const Json& disk : json.at("disks")) spec.disks.push_back(disk_from(disk));
  for (const Json& nic : json.at("nics")) spec.nics.push_back(nic_from(nic));
  return spec;
}

}  // namespace ca::test
