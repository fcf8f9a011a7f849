#include "agent/domainxml/domain_xml.h"

#include <fmt/format.h>

#include <set>
#include <sstream>

#include "agent/domainxml/converters.h"

namespace ca {
namespace {

constexpr std::int64_t kKibInMib = 1024;
constexpr std::int64_t kMaxVcpus = 4096;
constexpr std::int64_t kMaxMemoryMib = std::int64_t{1} << 30;

Result<void> check(const GuestSpec& spec) {
  const Instance& record = spec.instance;
  if (!is_uuid(record.uuid)) return fail(Code::kInvalid, fmt::format("instance uuid '{:.80}' is not a uuid", record.uuid));
  if (spec.virt_type != "kvm" && spec.virt_type != "qemu") {
    return fail(Code::kInvalid, fmt::format("virt_type '{:.80}' is not known; it must be kvm or qemu", spec.virt_type));
  }
  if (record.flavor.vcpus < 1 || record.flavor.vcpus > kMaxVcpus) {
    return fail(Code::kInvalid,
                fmt::format("flavor {:.80} has {} vCPUs; possible are 1 to {}", record.flavor.name, record.flavor.vcpus, kMaxVcpus));
  }
  if (record.flavor.memory_mib < 1 || record.flavor.memory_mib > kMaxMemoryMib) {
    return fail(Code::kInvalid, fmt::format("flavor {:.80} has {} MiB of memory; possible are 1 to {}", record.flavor.name,
                                            record.flavor.memory_mib, kMaxMemoryMib));
  }
  std::set<std::string> targets;
  for (const DiskDevice& disk : spec.disks) {
    const std::string& path = disk.source.path;
    const bool local = disk.source.kind == DiskSource::Kind::kFile || disk.source.kind == DiskSource::Kind::kBlock;
    if (path.empty() || (local && path.front() != '/') || disk.target.empty()) {
      return fail(Code::kInvalid, fmt::format("disk '{}' of {} has no absolute path or no target", path, record.uuid));
    }
    if (!targets.insert(disk.target).second) {
      return fail(Code::kInvalid, fmt::format("two disks of {} have target {}", record.uuid, disk.target));
    }
  }
  return {};
}

Result<void> add_devices(domainxml::Node domain, const GuestSpec& spec, const GuestOptions& options) {
  using namespace domainxml;
  Node devices = add(domain, "devices");
  if (!spec.emulator.empty()) add_text(devices, "emulator", spec.emulator);
  for (const DiskDevice& disk : spec.disks) CA_TRY_VOID(add_disk(devices, disk, options));
  add_controllers(devices, spec, options);
  for (const NicDevice& nic : spec.nics) CA_TRY_VOID(add_interface(devices, nic, spec, options));
  add_console(devices, spec);
  add_guest_agent(devices, options);
  CA_TRY_VOID(add_graphics(devices, spec, options));
  add_rng(devices, spec, options);
  add_watchdog(devices, options);
  add_balloon(devices, spec);
  return {};
}

}  // namespace

Result<std::string> domain_xml(const GuestSpec& spec) {
  using namespace domainxml;
  CA_TRY_VOID(check(spec));
  CA_TRY(const GuestOptions options, guest_options(spec.instance.flavor, spec.instance.image));
  pugi::xml_document document;
  Node domain = document.append_child("domain");
  set(domain, "type", spec.virt_type);
  add_text(domain, "name", spec.instance.domain());
  add_text(domain, "uuid", spec.instance.uuid);
  add_nova_metadata(domain, spec);
  for (const char* name : {"memory", "currentMemory"}) {
    set(add_text(domain, name, spec.instance.flavor.memory_mib * kKibInMib), "unit", "KiB");
  }
  add_text(domain, "vcpu", spec.instance.flavor.vcpus);
  add_cputune(domain, options);
  add_sysinfo(domain, spec);
  add_os(domain, spec, options);
  add_features(domain, spec, options);
  CA_TRY_VOID(add_cpu(domain, spec, options));
  add_clock(domain, spec, options);
  add_lifecycle(domain);
  CA_TRY_VOID(add_devices(domain, spec, options));
  std::ostringstream text;
  document.save(text, "  ", pugi::format_indent | pugi::format_no_declaration, pugi::encoding_utf8);
  return text.str();
}

}  // namespace ca
