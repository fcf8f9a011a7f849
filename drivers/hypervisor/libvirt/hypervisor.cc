#include <libvirt/virterror.h>

#include <array>
#include <map>
#include <utility>

#include "drivers/hypervisor/libvirt/block_jobs.h"
#include "drivers/hypervisor/libvirt/connection.h"
#include "drivers/hypervisor/libvirt/devices.h"
#include "drivers/hypervisor/libvirt/domain_events.h"
#include "drivers/hypervisor/libvirt/domain_stats.h"
#include "drivers/hypervisor/libvirt/errors.h"
#include "drivers/hypervisor/libvirt/handles.h"
#include "drivers/hypervisor/libvirt/host_facts.h"

namespace ca {
namespace {

using lv::DomainPtr;
using lv::SessionRef;

// A domain and the session it was looked up with.
struct Found {
  SessionRef session;
  DomainPtr domain;
};

Result<int> state_of(const Found& found, const std::string& uuid) {
  int state = 0;
  if (virDomainGetState(found.domain.get(), &state, nullptr, 0) < 0)
    return found.session->failed("cannot read the state of domain " + uuid);
  return state;
}

// Ordered of a domain that is off. Drivers differ in the code they give for it, so the state decides.
tl::unexpected<Error> order_failed(const Found& found, const std::string& what) {
  Error error = found.session->failed(what).value();
  if (error.code == Code::kExternal && virDomainIsActive(found.domain.get()) == 0) error.code = Code::kConflict;
  return tl::unexpected<Error>(std::move(error));
}

class LibvirtHypervisor final : public Hypervisor {
 public:
  explicit LibvirtHypervisor(std::shared_ptr<LibvirtConnection> connection) : connection_(std::move(connection)) {}
  ~LibvirtHypervisor() override { connection_->stop(); }

  void start(HypervisorListener& listener) override { connection_->start(listener); }
  void stop() override { connection_->stop(); }
  bool connected() const override { return connection_->connected(); }

  Result<HostFacts> host_facts() override;
  Result<std::vector<DomainSeen>> list_domains() override;
  Result<PowerState> power_state(const std::string& uuid) override;
  Result<std::string> domain_xml(const std::string& uuid) override;
  Result<void> define(const std::string& xml) override;
  Result<void> create(const std::string& uuid) override;
  Result<void> shutdown(const std::string& uuid) override;
  Result<void> reboot(const std::string& uuid) override;
  Result<void> resume(const std::string& uuid) override;
  Result<void> destroy(const std::string& uuid) override;
  Result<void> undefine(const std::string& uuid) override;
  Result<void> suspend(const std::string& uuid) override;
  Result<void> managed_save(const std::string& uuid) override;
  Result<void> remove_managed_save(const std::string& uuid) override;
  Result<void> inject_nmi(const std::string& uuid) override;
  Result<void> set_user_password(const std::string& uuid, const std::string& user, const std::string& password) override;
  Result<DomainStats> domain_stats(const std::string& uuid) override;
  Result<void> start_block_copy(const std::string& uuid, const std::string& disk, const std::string& file, DiskFormat format) override;
  Result<BlockJob> block_job(const std::string& uuid, const std::string& disk) override;
  Result<void> end_block_job(const std::string& uuid, const std::string& disk) override;
  Result<void> freeze(const std::string& uuid) override;
  Result<void> thaw(const std::string& uuid) override;

  Result<std::string> definition_xml(const std::string& uuid) override;
  Result<void> attach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) override;
  Result<void> detach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) override;
  Result<void> block_resize(const std::string& uuid, const std::string& target, std::int64_t bytes) override;
  Result<void> copy_disk(const std::string& uuid, const std::string& target, const std::string& path, std::chrono::seconds limit) override;
  Result<void> set_secret(const Secret& secret) override;
  Result<void> remove_secret(const Uuid& id) override;

 private:
  Result<Found> find(const std::string& uuid);

  std::shared_ptr<LibvirtConnection> connection_;
};

Result<Found> LibvirtHypervisor::find(const std::string& uuid) {
  CA_TRY(SessionRef session, connection_->session());
  DomainPtr domain(virDomainLookupByUUIDString(session->conn(), uuid.c_str()));
  if (!domain) return session->failed("cannot find domain " + uuid);
  return Found{std::move(session), std::move(domain)};
}

Result<HostFacts> LibvirtHypervisor::host_facts() {
  CA_TRY(const SessionRef session, connection_->session());
  const virConnectPtr conn = session->conn();
  HostFacts facts;
  virNodeInfo node{};
  unsigned long hypervisor_version = 0;
  unsigned long library_version = 0;
  const lv::Text hostname(virConnectGetHostname(conn));
  const lv::Text capabilities(virConnectGetCapabilities(conn));
  const char* type = virConnectGetType(conn);
  if (!hostname || !capabilities || type == nullptr || virNodeGetInfo(conn, &node) < 0 ||
      virConnectGetVersion(conn, &hypervisor_version) < 0 || virConnectGetLibVersion(conn, &library_version) < 0) {
    return session->failed("cannot read the host's facts");
  }
  facts.hostname = hostname.get();
  facts.hypervisor_type = type;
  facts.hypervisor_version = static_cast<std::int64_t>(hypervisor_version);
  facts.library_version = static_cast<std::int64_t>(library_version);
  facts.cpus = node.cpus;
  facts.sockets = node.sockets;
  facts.cores = node.cores;
  facts.threads = node.threads;
  facts.memory_mib = static_cast<std::int64_t>(node.memory / 1024);
  CA_TRY_VOID(lv::read_capabilities(capabilities.get(), facts));
  return facts;
}

Result<std::vector<DomainSeen>> LibvirtHypervisor::list_domains() {
  CA_TRY(const SessionRef session, connection_->session());
  // Two calls however many domains there are: one for each kind of persistence, which the records do not tell.
  constexpr std::array kinds{std::pair{VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT, true},
                             std::pair{VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT, false}};
  std::map<std::string, DomainSeen> seen;
  for (const auto& [flag, persistent] : kinds) {
    virDomainStatsRecordPtr* records = nullptr;
    const int count = virConnectGetAllDomainStats(session->conn(), VIR_DOMAIN_STATS_STATE, &records, flag);
    if (count < 0) return session->failed("cannot list the domains");
    const std::unique_ptr<virDomainStatsRecordPtr, lv::FreeWith<virDomainStatsRecordListFree>> owner(records);
    for (int i = 0; i < count; ++i) {
      char uuid[VIR_UUID_STRING_BUFLEN] = {};
      int state = VIR_DOMAIN_NOSTATE;
      const char* name = virDomainGetName(records[i]->dom);
      if (virDomainGetUUIDString(records[i]->dom, uuid) < 0 || name == nullptr) continue;
      virTypedParamsGetInt(records[i]->params, records[i]->nparams, "state.state", &state);
      seen[uuid] = DomainSeen{.uuid = uuid, .name = name, .state = lv::power_state_of(state), .persistent = persistent};
    }
  }
  std::vector<DomainSeen> all;
  all.reserve(seen.size());
  for (auto& [uuid, domain] : seen) all.push_back(std::move(domain));
  return all;
}

Result<PowerState> LibvirtHypervisor::power_state(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  CA_TRY(const int state, state_of(found, uuid));
  return lv::power_state_of(state);
}

Result<std::string> LibvirtHypervisor::domain_xml(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  const lv::Text xml(virDomainGetXMLDesc(found.domain.get(), 0));
  if (!xml) return found.session->failed("cannot read the XML of domain " + uuid);
  return std::string(xml.get());
}

Result<void> LibvirtHypervisor::define(const std::string& xml) {
  CA_TRY(const SessionRef session, connection_->session());
  const unsigned flags = connection_->options().validate_xml ? VIR_DOMAIN_DEFINE_VALIDATE : 0;
  const DomainPtr domain(virDomainDefineXMLFlags(session->conn(), xml.c_str(), flags));
  if (!domain) return session->failed("cannot define the domain");
  return {};
}

Result<void> LibvirtHypervisor::create(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainCreateWithFlags(found.domain.get(), 0) == 0) return {};
  auto error = found.session->failed("cannot start domain " + uuid);
  if (error.value().code != Code::kUnavailable && virDomainIsActive(found.domain.get()) == 1) return {};
  return error;
}

Result<void> LibvirtHypervisor::shutdown(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainShutdown(found.domain.get()) < 0) return order_failed(found, "cannot ask the guest of domain " + uuid + " to power off");
  return {};
}

Result<void> LibvirtHypervisor::reboot(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainReboot(found.domain.get(), 0) < 0) return order_failed(found, "cannot ask the guest of domain " + uuid + " to restart");
  return {};
}

Result<void> LibvirtHypervisor::resume(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainResume(found.domain.get()) == 0) return {};
  auto error = order_failed(found, "cannot resume domain " + uuid);
  if (error.value().code != Code::kUnavailable) {
    if (const auto state = state_of(found, uuid); state && *state == VIR_DOMAIN_RUNNING) return {};
  }
  return error;
}

Result<void> LibvirtHypervisor::destroy(const std::string& uuid) {
  auto found = find(uuid);
  if (!found) {
    if (found.error().code == Code::kNotFound) return {};
    return tl::unexpected<Error>(std::move(found).error());
  }
  if (virDomainDestroyFlags(found->domain.get(), 0) == 0) return {};
  auto error = found->session->failed("cannot power off domain " + uuid);
  if (error.value().code == Code::kNotFound) return {};
  if (error.value().code == Code::kConflict && virDomainIsActive(found->domain.get()) == 0) return {};
  return error;
}

Result<void> LibvirtHypervisor::undefine(const std::string& uuid) {
  auto found = find(uuid);
  if (!found) {
    if (found.error().code == Code::kNotFound) return {};
    return tl::unexpected<Error>(std::move(found).error());
  }
  // The most complete first; a hypervisor driver that does not know a flag gets the smaller set.
  constexpr std::array<unsigned, 3> attempts{VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                                 VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM,
                                             VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA, 0};
  Result<void> result;
  for (const unsigned flags : attempts) {
    if (virDomainUndefineFlags(found->domain.get(), flags) == 0) return {};
    const virErrorPtr last = virGetLastError();
    const int libvirt_code = last != nullptr ? last->code : VIR_ERR_OK;
    result = found->session->failed("cannot remove the definition of domain " + uuid);
    if (libvirt_code != VIR_ERR_INVALID_ARG && libvirt_code != VIR_ERR_NO_SUPPORT) break;
  }
  if (result.error().code == Code::kNotFound) return {};
  if (result.error().code == Code::kConflict && virDomainIsPersistent(found->domain.get()) == 0) return {};
  return result;
}

Result<void> LibvirtHypervisor::suspend(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainSuspend(found.domain.get()) == 0) return {};
  auto error = order_failed(found, "cannot pause domain " + uuid);
  if (error.value().code != Code::kUnavailable) {
    if (const auto state = state_of(found, uuid); state && *state == VIR_DOMAIN_PAUSED) return {};
  }
  return error;
}

Result<void> LibvirtHypervisor::managed_save(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainManagedSave(found.domain.get(), 0) == 0) return {};
  auto error = order_failed(found, "cannot save the memory of domain " + uuid);
  const bool saved = error.value().code == Code::kConflict && virDomainIsActive(found.domain.get()) == 0 &&
                     virDomainHasManagedSaveImage(found.domain.get(), 0) == 1;
  if (saved) return {};
  return error;
}

Result<void> LibvirtHypervisor::remove_managed_save(const std::string& uuid) {
  auto found = find(uuid);
  if (!found) {
    if (found.error().code == Code::kNotFound) return {};
    return tl::unexpected<Error>(std::move(found).error());
  }
  const int saved = virDomainHasManagedSaveImage(found->domain.get(), 0);
  if (saved == 0 || (saved == 1 && virDomainManagedSaveRemove(found->domain.get(), 0) == 0)) return {};
  return found->session->failed("cannot drop the saved memory of domain " + uuid);
}

Result<void> LibvirtHypervisor::inject_nmi(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainInjectNMI(found.domain.get(), 0) < 0) return order_failed(found, "cannot send an NMI to domain " + uuid);
  return {};
}

Result<void> LibvirtHypervisor::set_user_password(const std::string& uuid, const std::string& user, const std::string& password) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainSetUserPassword(found.domain.get(), user.c_str(), password.c_str(), 0) == 0) return {};
  const virErrorPtr last = virGetLastError();
  const bool no_agent = last != nullptr && last->code == VIR_ERR_AGENT_UNRESPONSIVE;
  Error error = order_failed(found, "cannot set the password of " + user + " in domain " + uuid).value();
  if (no_agent) {
    error.code = Code::kConflict;
    error.next_action = "start qemu-guest-agent in the guest";
  }
  return tl::unexpected<Error>(std::move(error));
}

Result<DomainStats> LibvirtHypervisor::domain_stats(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  std::array<virDomainPtr, 2> asked{found.domain.get(), nullptr};
  virDomainStatsRecordPtr* records = nullptr;
  constexpr unsigned kWanted =
      VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_VCPU | VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BALLOON;
  const int count = virDomainListGetStats(asked.data(), kWanted, &records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
  if (count < 0) return found.session->failed("cannot read the counters of domain " + uuid);
  const std::unique_ptr<virDomainStatsRecordPtr, lv::FreeWith<virDomainStatsRecordListFree>> owner(records);
  if (count == 0) return fail(Code::kNotFound, "cannot find domain " + uuid);
  return lv::read_stats(records[0]->params, records[0]->nparams);
}

Result<std::string> LibvirtHypervisor::definition_xml(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  const lv::Text xml(virDomainGetXMLDesc(found.domain.get(), VIR_DOMAIN_XML_INACTIVE));
  if (!xml) return found.session->failed("cannot read the definition of domain " + uuid);
  return std::string(xml.get());
}

Result<void> LibvirtHypervisor::attach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainAttachDeviceFlags(found.domain.get(), xml.c_str(), lv::scope_flag(scope)) == 0) return {};
  return order_failed(found, "cannot attach the device to domain " + uuid);
}

Result<void> LibvirtHypervisor::detach_device(const std::string& uuid, const std::string& xml, DeviceScope scope) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainDetachDeviceFlags(found.domain.get(), xml.c_str(), lv::scope_flag(scope)) == 0) return {};
  const bool missing = lv::device_is_missing();
  auto error = order_failed(found, "cannot detach the device from domain " + uuid);
  if (!missing) return error;
  error.value().code = Code::kNotFound;
  return error;
}

Result<void> LibvirtHypervisor::block_resize(const std::string& uuid, const std::string& target, std::int64_t bytes) {
  CA_TRY(const Found found, find(uuid));
  const auto size = static_cast<unsigned long long>(bytes);
  if (virDomainBlockResize(found.domain.get(), target.c_str(), size, VIR_DOMAIN_BLOCK_RESIZE_BYTES) == 0) return {};
  return order_failed(found, "cannot resize disk " + target + " of domain " + uuid);
}

Result<void> LibvirtHypervisor::copy_disk(const std::string& uuid, const std::string& target, const std::string& path,
                                          std::chrono::seconds limit) {
  CA_TRY(const Found found, find(uuid));
  switch (lv::copy_disk(found.domain.get(), target, path, limit)) {
    case lv::Copy::kComplete: return {};
    case lv::Copy::kTooLate:
      return fail(Code::kTimeout,
                  "copying disk " + target + " of domain " + uuid + " did not end within " + std::to_string(limit.count()) + " s");
    case lv::Copy::kBroken:
      return fail(Code::kExternal, "QEMU did not copy disk " + target + " of domain " + uuid + " to its end",
                  "look at the domain's log in /var/log/libvirt/qemu, then order it again");
    case lv::Copy::kRefused: break;
  }
  return order_failed(found, "cannot copy disk " + target + " of domain " + uuid);
}

Result<void> LibvirtHypervisor::set_secret(const Secret& secret) {
  CA_TRY(const SessionRef session, connection_->session());
  if (!lv::define_secret(session->conn(), secret)) return session->failed("cannot hand secret " + secret.id + " to libvirt");
  return {};
}

Result<void> LibvirtHypervisor::remove_secret(const Uuid& id) {
  CA_TRY(const SessionRef session, connection_->session());
  if (lv::undefine_secret(session->conn(), id)) return {};
  auto error = session->failed("cannot remove secret " + id);
  if (error.value().code == Code::kNotFound) return {};
  return error;
}

Result<void> LibvirtHypervisor::start_block_copy(const std::string& uuid, const std::string& disk, const std::string& file,
                                                 DiskFormat format) {
  CA_TRY(const Found found, find(uuid));
  if (lv::start_copy(found.domain.get(), disk, file, format)) return {};
  return order_failed(found, "cannot begin to copy disk " + disk + " of domain " + uuid);
}

Result<BlockJob> LibvirtHypervisor::block_job(const std::string& uuid, const std::string& disk) {
  CA_TRY(const Found found, find(uuid));
  if (const auto job = lv::read_job(found.domain.get(), disk)) return *job;
  auto error = order_failed(found, "cannot ask for the job on disk " + disk + " of domain " + uuid);
  if (error.value().code == Code::kConflict) return BlockJob{};  // a domain that is off has none
  return error;
}

Result<void> LibvirtHypervisor::end_block_job(const std::string& uuid, const std::string& disk) {
  auto job = block_job(uuid, disk);
  if (!job && job.error().code == Code::kNotFound) return {};
  if (!job) return tl::unexpected<Error>(std::move(job).error());
  if (!job->active) return {};
  CA_TRY(const Found found, find(uuid));
  if (virDomainBlockJobAbort(found.domain.get(), disk.c_str(), 0) == 0) return {};
  auto error = found.session->failed("cannot end the job on disk " + disk + " of domain " + uuid);
  if (const auto now = block_job(uuid, disk); now && !now->active) return {};
  return error;
}

Result<void> LibvirtHypervisor::freeze(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainFSFreeze(found.domain.get(), nullptr, 0, 0) < 0)
    return order_failed(found, "the guest of domain " + uuid + " does not freeze");
  return {};
}

Result<void> LibvirtHypervisor::thaw(const std::string& uuid) {
  CA_TRY(const Found found, find(uuid));
  if (virDomainFSThaw(found.domain.get(), nullptr, 0, 0) < 0) return order_failed(found, "the guest of domain " + uuid + " does not thaw");
  return {};
}

}  // namespace

std::unique_ptr<Hypervisor> make_libvirt_hypervisor(std::shared_ptr<LibvirtConnection> connection) {
  return std::make_unique<LibvirtHypervisor>(std::move(connection));
}

std::unique_ptr<Hypervisor> make_libvirt_hypervisor(LibvirtOptions options) {
  return make_libvirt_hypervisor(make_libvirt_connection(std::move(options)));
}

}  // namespace ca
