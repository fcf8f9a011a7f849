#include <fmt/format.h>

#include "agent/verbs/steps.h"

namespace ca {
namespace {

RecordChange set_port_status(std::string status) {
  return [status = std::move(status)](Tx& tx, Instance& record) -> Result<void> {
    for (const Uuid& id : record.port_ids) {
      auto port = tx.get<Port>(id);
      if (!port || port->status == status) continue;
      port->status = status;
      port->updated_us = tx.now_us();
      CA_TRY_VOID(tx.put(*port));
    }
    return {};
  };
}

// Takes away what is there, even where records of it are missing: nobody would do so later.
Result<void> unplug_all(Services& s, StepContext& ctx) {
  for (const Uuid& id : ctx.instance().port_ids) {
    const auto port = s.store.get<Port>(id);
    if (!port) continue;
    const auto record = s.store.get<Network>(port->network_id);
    Network network;
    network.id = port->network_id;
    if (record) network = *record;
    if (ctx.abandoned()) return fail(Code::kCancelled, "the attempt took too long");
    if (auto done = s.networks.unplug(network, *port); !done) {
      return wrap(std::move(done).error(), fmt::format("cannot unplug port {}", id));
    }
  }
  ctx.on_commit(set_port_status("DOWN"));
  return {};
}

}  // namespace

Result<std::vector<NicRecords>> nic_records(Services& s, const Instance& instance) {
  std::vector<NicRecords> nics;
  const auto subnets = s.store.all<Subnet>();
  for (const Uuid& id : instance.port_ids) {
    const auto port = s.store.get<Port>(id);
    if (!port) return fail(Code::kInternal, fmt::format("instance {} names port {}, which has no record", instance.uuid, id));
    const auto network = s.store.get<Network>(port->network_id);
    if (!network) return fail(Code::kNotFound, fmt::format("network {} of port {} has no record", port->network_id, id));
    NicRecords nic{*port, *network, {}};
    for (const auto& subnet : subnets) {
      if (subnet->network_id == network->id) nic.subnets.push_back(*subnet);
    }
    nics.push_back(std::move(nic));
  }
  return nics;
}

Step plug_ports_step(Services& s) {
  Step step{.name = "plug_ports", .limit = std::chrono::seconds(120), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    CA_TRY(const auto nics, nic_records(s, ctx.instance()));
    for (const NicRecords& nic : nics) {
      if (auto up = s.networks.ensure(nic.network, nic.subnets); !up) {
        return wrap(std::move(up).error(), fmt::format("network '{}' ({}) can't be brought up", nic.network.name, nic.network.id));
      }
      // An entry made after the undo of this step would stay for good.
      if (ctx.abandoned()) return fail(Code::kCancelled, "the attempt took too long");
      if (auto plugged = s.networks.plug(nic.network, nic.port, ctx.instance().hostname); !plugged) {
        return wrap(std::move(plugged).error(), fmt::format("cannot plug port {}", nic.port.id));
      }
    }
    ctx.on_commit(set_port_status("ACTIVE"));
    return {};
  };
  step.undo = [&s](StepContext& ctx) { return unplug_all(s, ctx); };
  return step;
}

Step unplug_ports_step(Services& s) {
  return {.name = "unplug_ports",
          .limit = std::chrono::seconds(120),
          .run = [&s](StepContext& ctx) { return unplug_all(s, ctx); },
          .undo = {},
          .task = TaskState::kNone};
}

}  // namespace ca
