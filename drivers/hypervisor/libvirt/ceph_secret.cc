#include "drivers/hypervisor/libvirt/ceph_secret.h"

#include <libvirt/virterror.h>

#include <pugixml.hpp>
#include <sstream>

#include "agent/core/base64.h"
#include "drivers/hypervisor/libvirt/connection.h"
#include "drivers/hypervisor/libvirt/handles.h"

namespace ca {
namespace {

// https://libvirt.org/formatsecret.html
std::string secret_xml(const CephSecret& secret) {
  pugi::xml_document document;
  pugi::xml_node top = document.append_child("secret");
  top.append_attribute("ephemeral") = "no";
  top.append_attribute("private") = "yes";
  top.append_child("uuid").text() = secret.uuid.c_str();
  pugi::xml_node usage = top.append_child("usage");
  usage.append_attribute("type") = "ceph";
  usage.append_child("name").text() = ("client." + secret.user + " secret").c_str();
  std::ostringstream text;
  document.save(text, "  ");
  return text.str();
}

}  // namespace

Result<void> put_ceph_secret(LibvirtConnection& connection, const CephSecret& secret) {
  CA_TRY(const std::string key, base64_decode(secret.base64_key));
  CA_TRY(const lv::SessionRef session, connection.session());
  const std::unique_ptr<virSecret, lv::FreeWith<virSecretFree>> defined(virSecretDefineXML(session->conn(), secret_xml(secret).c_str(), 0));
  if (!defined) return session->failed("cannot define libvirt's secret of client." + secret.user);
  if (virSecretSetValue(defined.get(), reinterpret_cast<const unsigned char*>(key.data()), key.size(), 0) < 0)
    return session->failed("cannot set the value of libvirt's secret of client." + secret.user);
  return {};
}

}  // namespace ca
