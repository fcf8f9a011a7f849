#include "drivers/hypervisor/libvirt/block_jobs.h"

#include <pugixml.hpp>
#include <sstream>

#include "drivers/hypervisor/libvirt/handles.h"

namespace ca::lv {
namespace {

// libvirt tells of the moment in which a copy is complete by event and, for those who ask later, by <mirror ready='yes'>.
bool mirror_is_ready(const char* xml, const std::string& disk) {
  pugi::xml_document document;
  if (!document.load_string(xml)) return false;
  for (const pugi::xml_node node : document.child("domain").child("devices").children("disk")) {
    if (disk != node.child("target").attribute("dev").value() && disk != node.child("source").attribute("file").value()) continue;
    return std::string_view(node.child("mirror").attribute("ready").value()) == "yes";
  }
  return false;
}

}  // namespace

bool start_copy(virDomainPtr domain, const std::string& disk, const std::string& file, DiskFormat format) {
  pugi::xml_document document;
  pugi::xml_node copy = document.append_child("disk");
  copy.append_attribute("type") = "file";
  copy.append_child("source").append_attribute("file") = file.c_str();
  copy.append_child("driver").append_attribute("type") = std::string(to_string(format)).c_str();
  std::ostringstream text;
  document.save(text);
  // A job that need not outlive the domain's process is allowed on a persistent domain too.
  return virDomainBlockCopy(domain, disk.c_str(), text.str().c_str(), nullptr, 0, VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB) == 0;
}

std::optional<BlockJob> read_job(virDomainPtr domain, const std::string& disk) {
  virDomainBlockJobInfo info{};
  const int found = virDomainGetBlockJobInfo(domain, disk.c_str(), &info, 0);
  if (found < 0) return std::nullopt;
  if (found == 0) return BlockJob{};
  const Text xml(virDomainGetXMLDesc(domain, 0));
  if (!xml) return std::nullopt;
  return BlockJob{.active = true,
                  .ready = mirror_is_ready(xml.get(), disk),
                  .done_bytes = static_cast<std::int64_t>(info.cur),
                  .total_bytes = static_cast<std::int64_t>(info.end)};
}

DomainEvent block_job_event(const char* target, int status) {
  const char* what = "ended";
  switch (status) {
    case VIR_DOMAIN_BLOCK_JOB_COMPLETED: what = "completed"; break;
    case VIR_DOMAIN_BLOCK_JOB_FAILED: what = "failed"; break;
    case VIR_DOMAIN_BLOCK_JOB_CANCELED: what = "cancelled"; break;
    case VIR_DOMAIN_BLOCK_JOB_READY: what = "ready"; break;
    default: break;
  }
  return DomainEvent{.kind = DomainEvent::Kind::kBlockJob, .detail = std::string(target != nullptr ? target : "") + ": " + what};
}

}  // namespace ca::lv
