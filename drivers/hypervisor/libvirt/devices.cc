#include "drivers/hypervisor/libvirt/devices.h"

#include <libvirt/virterror.h>

#include <algorithm>
#include <pugixml.hpp>
#include <sstream>
#include <string_view>
#include <thread>

#include "drivers/hypervisor/libvirt/handles.h"

namespace ca::lv {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string text_of(const pugi::xml_document& document) {
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration, pugi::encoding_utf8);
  return text.str();
}

// https://libvirt.org/formatbackup.html: mode push; disks that are not named are left out.
std::string backup_xml(const std::string& target, const std::string& path) {
  pugi::xml_document document;
  auto backup = document.append_child("domainbackup");
  backup.append_attribute("mode").set_value("push");
  auto disk = backup.append_child("disks").append_child("disk");
  disk.append_attribute("name").set_value(target.c_str());
  disk.append_attribute("backup").set_value("yes");
  disk.append_attribute("type").set_value("file");
  disk.append_child("driver").append_attribute("type").set_value("raw");
  disk.append_child("target").append_attribute("file").set_value(path.c_str());
  return text_of(document);
}

std::string secret_xml(const Secret& secret) {
  const bool ceph = secret.usage == Secret::Usage::kCeph;
  pugi::xml_document document;
  auto root = document.append_child("secret");
  root.append_attribute("ephemeral").set_value("no");
  root.append_attribute("private").set_value("yes");
  root.append_child("uuid").text().set(secret.id.c_str());
  auto usage = root.append_child("usage");
  usage.append_attribute("type").set_value(ceph ? "ceph" : "iscsi");
  usage.append_child(ceph ? "name" : "target").text().set(secret.name.c_str());
  return text_of(document);
}

// How the job ended, once none runs any more.
Backup outcome_of(virDomainPtr domain) {
  int type = VIR_DOMAIN_JOB_NONE;
  virTypedParameterPtr params = nullptr;
  int count = 0;
  if (virDomainGetJobStats(domain, &type, &params, &count, VIR_DOMAIN_JOB_STATS_COMPLETED) < 0) return Backup::kBroken;
  virTypedParamsFree(params, count);
  return type == VIR_DOMAIN_JOB_COMPLETED ? Backup::kComplete : Backup::kBroken;
}

}  // namespace

unsigned scope_flag(DeviceScope scope) { return scope == DeviceScope::kLive ? VIR_DOMAIN_AFFECT_LIVE : VIR_DOMAIN_AFFECT_CONFIG; }

bool device_is_missing() {
  const virErrorPtr last = virGetLastError();
  if (last == nullptr) return false;
  if (last->code == VIR_ERR_DEVICE_MISSING) return true;
  // "disk vdb not found", "no target device vdb": what libvirt says of a disk that the definition does not have.
  const std::string_view text = last->message != nullptr ? last->message : "";
  return (last->code == VIR_ERR_OPERATION_FAILED || last->code == VIR_ERR_INVALID_ARG) &&
         (text.find("not found") != std::string_view::npos || text.find("no target device") != std::string_view::npos);
}

Backup back_up_disk(virDomainPtr domain, const std::string& target, const std::string& path, std::chrono::seconds limit) {
  const std::string xml = backup_xml(target, path);
  if (virDomainBackupBegin(domain, xml.c_str(), nullptr, VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL) < 0) return Backup::kRefused;
  const auto until = steady_clock::now() + limit;
  milliseconds pause{5};
  while (true) {
    virDomainJobInfo info{};
    if (virDomainGetJobInfo(domain, &info) < 0) return Backup::kBroken;
    if (info.type == VIR_DOMAIN_JOB_NONE) return outcome_of(domain);
    if (steady_clock::now() > until) {
      virDomainAbortJob(domain);
      return Backup::kTooLate;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, milliseconds{500});
  }
}

bool define_secret(virConnectPtr conn, const Secret& secret) {
  const SecretPtr defined(virSecretDefineXML(conn, secret_xml(secret).c_str(), 0));
  if (!defined) return false;
  return virSecretSetValue(defined.get(), reinterpret_cast<const unsigned char*>(secret.value.data()), secret.value.size(), 0) == 0;
}

bool undefine_secret(virConnectPtr conn, const std::string& id) {
  const SecretPtr secret(virSecretLookupByUUIDString(conn, id.c_str()));
  return secret && virSecretUndefine(secret.get()) == 0;
}

}  // namespace ca::lv
