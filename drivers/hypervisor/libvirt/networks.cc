#include <libvirt/virterror.h>

#include <pugixml.hpp>
#include <sstream>
#include <utility>

#include "drivers/hypervisor/libvirt/connection.h"
#include "drivers/hypervisor/libvirt/errors.h"
#include "drivers/hypervisor/libvirt/handles.h"

namespace ca {
namespace {

using lv::NetworkPtr;
using lv::SessionRef;

struct Found {
  SessionRef session;
  NetworkPtr network;
};

Result<HostNetwork> describe(const SessionRef& session, virNetworkPtr network) {
  HostNetwork seen;
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  int autostart = 0;
  const char* name = virNetworkGetName(network);
  const int active = virNetworkIsActive(network);
  const int persistent = virNetworkIsPersistent(network);
  if (name == nullptr || virNetworkGetUUIDString(network, uuid) < 0 || active < 0 || persistent < 0 ||
      virNetworkGetAutostart(network, &autostart) < 0) {
    return session->failed("cannot read the state of a libvirt network");
  }
  return HostNetwork{.uuid = uuid, .name = name, .active = active == 1, .persistent = persistent == 1, .autostart = autostart == 1};
}

class LibvirtNetworks final : public HostNetworks {
 public:
  explicit LibvirtNetworks(std::shared_ptr<LibvirtConnection> connection) : connection_(std::move(connection)) {}

  Result<std::vector<HostNetwork>> list() override;
  Result<HostNetwork> find(const std::string& uuid) override;
  Result<std::string> xml(const std::string& uuid) override;
  Result<void> define(const std::string& xml) override;
  Result<void> start(const std::string& uuid) override;
  Result<void> set_autostart(const std::string& uuid) override;
  Result<void> destroy(const std::string& uuid) override;
  Result<void> undefine(const std::string& uuid) override;
  Result<void> add_name(const std::string& uuid, const std::string& ip_address, const std::string& name) override;
  Result<void> remove_name(const std::string& uuid, const std::string& ip_address) override;
  Result<std::vector<DhcpLease>> leases(const std::string& uuid) override;

 private:
  Result<Found> look_up(const std::string& uuid);
  Result<void> change_name(const std::string& uuid, unsigned command, const std::string& ip_address, const std::string& name);

  std::shared_ptr<LibvirtConnection> connection_;
};

Result<Found> LibvirtNetworks::look_up(const std::string& uuid) {
  CA_TRY(SessionRef session, connection_->session());
  NetworkPtr network(virNetworkLookupByUUIDString(session->conn(), uuid.c_str()));
  if (!network) return session->failed("cannot find libvirt network " + uuid);
  return Found{std::move(session), std::move(network)};
}

Result<std::vector<HostNetwork>> LibvirtNetworks::list() {
  CA_TRY(const SessionRef session, connection_->session());
  virNetworkPtr* networks = nullptr;
  const int count = virConnectListAllNetworks(session->conn(), &networks, 0);
  if (count < 0) return session->failed("cannot list libvirt's networks");
  std::vector<NetworkPtr> owned;
  for (int i = 0; i < count; ++i) owned.emplace_back(networks[i]);
  const std::unique_ptr<virNetworkPtr, lv::FreeWith<std::free>> array(networks);
  std::vector<HostNetwork> all;
  for (const auto& network : owned) {
    auto seen = describe(session, network.get());
    if (!seen && seen.error().code == Code::kNotFound) continue;  // removed since it was listed
    CA_TRY(auto one, std::move(seen));
    all.push_back(std::move(one));
  }
  return all;
}

Result<HostNetwork> LibvirtNetworks::find(const std::string& uuid) {
  CA_TRY(const Found found, look_up(uuid));
  return describe(found.session, found.network.get());
}

Result<std::string> LibvirtNetworks::xml(const std::string& uuid) {
  CA_TRY(const Found found, look_up(uuid));
  lv::Text text(virNetworkGetXMLDesc(found.network.get(), VIR_NETWORK_XML_INACTIVE));
  if (!text) return found.session->failed("cannot read the XML of libvirt network " + uuid);
  return std::string(text.get());
}

Result<void> LibvirtNetworks::define(const std::string& xml) {
  CA_TRY(const SessionRef session, connection_->session());
  const NetworkPtr network(virNetworkDefineXML(session->conn(), xml.c_str()));
  if (!network) return session->failed("cannot define the libvirt network");
  return {};
}

Result<void> LibvirtNetworks::start(const std::string& uuid) {
  CA_TRY(const Found found, look_up(uuid));
  if (virNetworkCreate(found.network.get()) == 0) return {};
  auto error = found.session->failed("cannot start libvirt network " + uuid);
  if (error.value().code == Code::kConflict && virNetworkIsActive(found.network.get()) == 1) return {};
  return error;
}

Result<void> LibvirtNetworks::set_autostart(const std::string& uuid) {
  CA_TRY(const Found found, look_up(uuid));
  if (virNetworkSetAutostart(found.network.get(), 1) < 0)
    return found.session->failed("cannot mark libvirt network " + uuid + " for autostart");
  return {};
}

Result<void> LibvirtNetworks::destroy(const std::string& uuid) {
  auto found = look_up(uuid);
  if (!found && found.error().code == Code::kNotFound) return {};
  if (!found) return tl::unexpected<Error>(std::move(found).error());
  if (virNetworkDestroy(found->network.get()) == 0) return {};
  auto error = found->session->failed("cannot stop libvirt network " + uuid);
  if (error.value().code == Code::kNotFound) return {};
  if (error.value().code == Code::kConflict && virNetworkIsActive(found->network.get()) == 0) return {};
  return error;
}

Result<void> LibvirtNetworks::undefine(const std::string& uuid) {
  auto found = look_up(uuid);
  if (!found && found.error().code == Code::kNotFound) return {};
  if (!found) return tl::unexpected<Error>(std::move(found).error());
  if (virNetworkUndefine(found->network.get()) == 0) return {};
  auto error = found->session->failed("cannot remove the definition of libvirt network " + uuid);
  if (error.value().code == Code::kNotFound) return {};
  return error;
}

// <dns><host>: unlike the entries of DHCP, libvirt changes these without taking the network's firewall rules away
// (networkUpdate in src/network/bridge_driver.c).
Result<void> LibvirtNetworks::change_name(const std::string& uuid, unsigned command, const std::string& ip_address,
                                          const std::string& name) {
  CA_TRY(const Found found, look_up(uuid));
  pugi::xml_document document;
  auto host = document.append_child("host");
  host.append_attribute("ip") = ip_address.c_str();
  if (!name.empty()) host.append_child("hostname").text() = name.c_str();
  std::ostringstream xml;
  host.print(xml, "", pugi::format_raw);
  unsigned flags = VIR_NETWORK_UPDATE_AFFECT_CONFIG;
  const int active = virNetworkIsActive(found.network.get());
  if (active < 0) return found.session->failed("cannot read the state of libvirt network " + uuid);
  if (active == 1) flags |= VIR_NETWORK_UPDATE_AFFECT_LIVE;
  if (virNetworkUpdate(found.network.get(), command, VIR_NETWORK_SECTION_DNS_HOST, -1, xml.str().c_str(), flags) < 0) {
    return found.session->failed("cannot change the names of libvirt network " + uuid);
  }
  return {};
}

Result<void> LibvirtNetworks::add_name(const std::string& uuid, const std::string& ip_address, const std::string& name) {
  return change_name(uuid, VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, ip_address, name);
}

Result<void> LibvirtNetworks::remove_name(const std::string& uuid, const std::string& ip_address) {
  return change_name(uuid, VIR_NETWORK_UPDATE_COMMAND_DELETE, ip_address, {});
}

Result<std::vector<DhcpLease>> LibvirtNetworks::leases(const std::string& uuid) {
  CA_TRY(const Found found, look_up(uuid));
  virNetworkDHCPLeasePtr* leases = nullptr;
  const int count = virNetworkGetDHCPLeases(found.network.get(), nullptr, &leases, 0);
  if (count < 0) return found.session->failed("cannot read the DHCP leases of libvirt network " + uuid);
  const std::unique_ptr<virNetworkDHCPLeasePtr, lv::FreeWith<std::free>> array(leases);
  std::vector<DhcpLease> all;
  for (int i = 0; i < count; ++i) {
    const lv::LeasePtr lease(leases[i]);
    if (lease->type == VIR_IP_ADDR_TYPE_IPV4 && lease->mac != nullptr && lease->ipaddr != nullptr)
      all.push_back({lease->mac, lease->ipaddr});
  }
  return all;
}

}  // namespace

std::unique_ptr<HostNetworks> make_libvirt_networks(std::shared_ptr<LibvirtConnection> connection) {
  return std::make_unique<LibvirtNetworks>(std::move(connection));
}

}  // namespace ca
