#include <fmt/format.h>

#include <map>

#include "agent/core/clock.h"
#include "agent/verbs/life.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

constexpr std::int64_t kUsPerSecond = 1'000'000;

Json known(std::int64_t value) { return value < 0 ? Json(nullptr) : Json(value); }

Json nic_json(const DomainStats::Nic& nic, const std::string& mac) {
  return {{"mac_address", mac.empty() ? Json(nullptr) : Json(mac)},
          {"rx_octets", known(nic.rx_octets)},
          {"rx_packets", known(nic.rx_packets)},
          {"rx_errors", known(nic.rx_errors)},
          {"rx_drop", known(nic.rx_drop)},
          {"rx_rate", nullptr},
          {"tx_octets", known(nic.tx_octets)},
          {"tx_packets", known(nic.tx_packets)},
          {"tx_errors", known(nic.tx_errors)},
          {"tx_drop", known(nic.tx_drop)},
          {"tx_rate", nullptr}};
}

std::string state_word(PowerState state) {
  switch (state) {
    case PowerState::kRunning: return "running";
    case PowerState::kPaused: return "paused";
    case PowerState::kShutdown: return "shutdown";
    case PowerState::kCrashed: return "crashed";
    case PowerState::kSuspended: return "suspended";
    case PowerState::kNoState: break;
  }
  return "pending";
}

}  // namespace

Result<Json> get_diagnostics(Services& s, const Message& message) {
  const Uuid uuid = message.args.at("instance").at("uuid").get<std::string>();
  const auto instance = s.store.get<Instance>(uuid);
  if (!instance) return fail(Code::kNotFound, fmt::format("Instance {} could not be found.", uuid));
  const auto not_now = [&](PowerState state) {
    return fail(Code::kConflict, fmt::format("Cannot 'get_diagnostics' instance {} while it is in power state {}", uuid, to_string(state)),
                "start it first");
  };
  auto stats = s.hypervisor.domain_stats(uuid);
  if (!stats && stats.error().code == Code::kNotFound) return not_now(PowerState::kNoState);
  if (!stats) return tl::unexpected<Error>(std::move(stats).error());
  if (is_off(stats->state)) return not_now(stats->state);
  CA_TRY(const VirtChoice virt, s.virt());

  std::map<std::string, std::string> macs;
  for (const Uuid& id : instance->port_ids) {
    if (const auto port = s.store.get<Port>(id)) macs["tap" + port->id.substr(0, 11)] = port->mac_address;
  }
  Json cpus = Json::array();
  for (const auto& cpu : stats->cpus) cpus.push_back({{"id", cpu.id}, {"time", known(cpu.time_ns)}, {"utilisation", nullptr}});
  Json disks = Json::array();
  for (const auto& disk : stats->disks) {
    disks.push_back({{"read_bytes", known(disk.read_bytes)},
                     {"read_requests", known(disk.read_requests)},
                     {"write_bytes", known(disk.write_bytes)},
                     {"write_requests", known(disk.write_requests)},
                     {"errors_count", nullptr}});
  }
  Json nics = Json::array();
  for (const auto& nic : stats->nics) nics.push_back(nic_json(nic, macs[nic.name]));
  const std::int64_t up_us = instance->launched_us == 0 ? 0 : s.clock.wall_us() - instance->launched_us;
  const auto mib = [](std::int64_t kib) { return kib < 0 ? Json(nullptr) : Json(kib / 1024); };
  return Json{{"state", state_word(stats->state)},
              {"driver", "libvirt"},
              {"hypervisor", virt.type},
              {"hypervisor_os", "linux"},
              {"uptime", up_us / kUsPerSecond},
              {"config_drive", instance->config_drive},
              {"num_cpus", cpus.size()},
              {"num_disks", disks.size()},
              {"num_nics", nics.size()},
              {"cpu_details", std::move(cpus)},
              {"disk_details", std::move(disks)},
              {"nic_details", std::move(nics)},
              {"memory_details", {{"maximum", mib(stats->memory_maximum_kib)}, {"used", mib(stats->memory_used_kib)}}}};
}

}  // namespace ca
