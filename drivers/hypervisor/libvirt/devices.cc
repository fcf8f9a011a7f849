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

std::string copy_xml(const std::string& path) {
  pugi::xml_document document;
  auto disk = document.append_child("disk");
  disk.append_attribute("type").set_value("file");
  disk.append_child("driver").append_attribute("type").set_value("raw");
  disk.append_child("source").append_attribute("file").set_value(path.c_str());
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

// A mirror rather than a backup job: QEMU keeps what is zero a hole in the target.
Copy copy_disk(virDomainPtr domain, const std::string& target, const std::string& path, std::chrono::seconds limit) {
  constexpr unsigned kFlags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB;
  if (virDomainBlockCopy(domain, target.c_str(), copy_xml(path).c_str(), nullptr, 0, kFlags) < 0) return Copy::kRefused;
  const auto until = steady_clock::now() + limit;
  milliseconds pause{5};
  while (true) {
    virDomainBlockJobInfo info{};
    const int jobs = virDomainGetBlockJobInfo(domain, target.c_str(), &info, 0);
    if (jobs != 1) return Copy::kBroken;
    // libvirt tells the end only once the target follows every write.
    if (info.end > 0 && info.cur == info.end) break;
    if (steady_clock::now() > until) {
      virDomainBlockJobAbort(domain, target.c_str(), 0);
      return Copy::kTooLate;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, milliseconds{500});
  }
  // Ends the mirror and waits for that: the target is the disk as it is now.
  return virDomainBlockJobAbort(domain, target.c_str(), 0) == 0 ? Copy::kComplete : Copy::kRefused;
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
