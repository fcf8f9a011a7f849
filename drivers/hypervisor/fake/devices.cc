// Devices and secrets of the fake: a domain's XML really changes.

#include <pugixml.hpp>
#include <sstream>

#include "drivers/hypervisor/fake/fake_hypervisor.h"

namespace ca {
namespace {

using Kind = DomainEvent::Kind;

std::string text_of(const pugi::xml_document& document) {
  std::ostringstream text;
  document.save(text, "  ", pugi::format_indent | pugi::format_no_declaration, pugi::encoding_utf8);
  return text.str();
}

pugi::xml_node device_like(const pugi::xml_document& domain, const pugi::xml_node& device) {
  const std::string target = device.child("target").attribute("dev").value();
  for (const auto& other : domain.child("domain").child("devices").children(device.name())) {
    if (target == other.child("target").attribute("dev").value()) return other;
  }
  return {};
}

}  // namespace

Result<std::string> FakeHypervisor::definition_xml(const std::string& uuid) {
  return call<std::string>("definition_xml", uuid, [&]() -> Result<std::string> {
    CA_TRY(const Domain* domain, find(uuid));
    return domain->xml;
  });
}

Result<std::string*> FakeHypervisor::xml_of(const std::string& uuid, DeviceScope scope) {
  CA_TRY(Domain* const domain, find(uuid));
  if (scope == DeviceScope::kDefinition) return &domain->xml;
  if (domain->state == PowerState::kShutdown) return fail(Code::kConflict, "domain " + uuid + " is not running");
  return &domain->live_xml;
}

Result<void> FakeHypervisor::attach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) {
  return call<void>("attach_device", uuid, [&]() -> Result<void> {
    CA_TRY(std::string* const text, xml_of(uuid, scope));
    pugi::xml_document domain, device;
    if (!domain.load_string(text->c_str()) || !device.load_string(xml.c_str())) return fail(Code::kInvalid, "no XML");
    if (device_like(domain, device.first_child())) return fail(Code::kConflict, "the target is taken");
    domain.child("domain").child("devices").append_copy(device.first_child());
    *text = text_of(domain);
    return {};
  });
}

Result<void> FakeHypervisor::detach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) {
  return call<void>("detach_device", uuid, [&]() -> Result<void> {
    CA_TRY(std::string* const text, xml_of(uuid, scope));
    pugi::xml_document domain, device;
    if (!domain.load_string(text->c_str()) || !device.load_string(xml.c_str())) return fail(Code::kInvalid, "no XML");
    const auto found = device_like(domain, device.first_child());
    if (!found) return fail(Code::kNotFound, "there is no such device");
    const Domain& record = domains_.at(uuid);
    if (scope == DeviceScope::kLive && keeps_devices_) {
      emit(uuid, record, Kind::kDeviceRemovalFailed, "device");
      return {};
    }
    domain.child("domain").child("devices").remove_child(found);
    *text = text_of(domain);
    if (scope == DeviceScope::kLive) emit(uuid, record, Kind::kDeviceRemoved, "device");
    return {};
  });
}

Result<void> FakeHypervisor::block_resize(const std::string& uuid, const std::string& target, std::int64_t /*bytes*/) {
  return call<void>("block_resize", uuid + " " + target, [&]() -> Result<void> {
    CA_TRY_VOID(xml_of(uuid, DeviceScope::kLive));
    return {};
  });
}

Result<void> FakeHypervisor::copy_disk(const std::string& uuid, const std::string& target, const std::string& /*path*/,
                                       std::chrono::seconds /*limit*/) {
  return call<void>("copy_disk", uuid + " " + target, [&]() -> Result<void> {
    CA_TRY_VOID(xml_of(uuid, DeviceScope::kLive));
    return {};
  });
}

Result<void> FakeHypervisor::set_secret(const Secret& secret) {
  return call<void>("set_secret", secret.id, [&]() -> Result<void> {
    secrets_[secret.id] = secret;
    return {};
  });
}

Result<void> FakeHypervisor::remove_secret(const Uuid& id) {
  return call<void>("remove_secret", id, [&]() -> Result<void> {
    secrets_.erase(id);
    return {};
  });
}

void FakeHypervisor::set_guest_keeps_devices(bool keeps) {
  const std::lock_guard lock(mutex_);
  keeps_devices_ = keeps;
}

std::vector<Uuid> FakeHypervisor::secrets() const {
  const std::lock_guard lock(mutex_);
  std::vector<Uuid> ids;
  for (const auto& [id, secret] : secrets_) ids.push_back(id);
  return ids;
}

}  // namespace ca
