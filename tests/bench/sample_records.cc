#include "tests/bench/sample_records.h"

#include <fmt/format.h>

namespace ca::bench {
namespace {

constexpr std::int64_t kFirstCreatedUs = 1'750'000'000'000'000;

// The network is of kind kBridge, so that an agent with these records needs nothing of the host.
void add_network(SampleRecords& all) {
  all.network = {
      .id = new_uuid(), .name = "private", .project_id = "admin", .kind = NetworkKind::kBridge, .bridge = "br-bench", .description = {}};
  all.subnet.id = new_uuid();
  all.subnet.name = "private-subnet";
  all.subnet.network_id = all.network.id;
  all.subnet.cidr = "10.20.0.0/16";
}

}  // namespace

SampleRecords sample_records(int instances) {
  SampleRecords all;
  all.flavor = {.id = "1",
                .name = "m1.tiny",
                .vcpus = 1,
                .memory_mib = 64,
                .root_gib = 1,
                .description = {},
                .extra_specs = {{"hw:cpu_policy", "shared"}}};
  all.image.id = new_uuid();
  all.image.name = "debian-12";
  all.image.status = ImageStatus::kActive;
  all.image.disk_format = DiskFormat::kRaw;
  all.image.size_bytes = all.image.virtual_size_bytes = 1 << 20;
  all.image.properties = {{"hw_disk_bus", "virtio"}, {"os_distro", "debian"}};
  add_network(all);
  for (int n = 1; n <= instances; ++n) {
    Instance i;
    i.uuid = new_uuid();
    i.number = n;
    i.name = i.hostname = fmt::format("bench-{:04}", n);
    i.project_id = i.user_id = "admin";
    i.host = "lab";
    i.flavor = all.flavor;
    i.image = all.image;
    i.metadata = {{"role", "web"}, {"owner", "bench"}};
    i.reservation_id = fmt::format("r-{:08x}", n);
    i.vm_state = VmState::kStopped;
    i.task_state = TaskState::kNone;
    i.power_state = PowerState::kShutdown;
    i.created_us = i.updated_us = i.launched_us = kFirstCreatedUs + n;
    Port port;
    port.id = new_uuid();
    port.network_id = all.network.id;
    port.device_id = i.uuid;
    port.device_owner = "compute:nova";
    port.mac_address = fmt::format("fa:16:3e:00:{:02x}:{:02x}", n / 256, n % 256);
    port.fixed_ips = {{all.subnet.id, fmt::format("10.20.{}.{}", n / 250, n % 250 + 2)}};
    i.port_ids = i.own_port_ids = {port.id};
    all.instances.push_back(std::move(i));
    all.ports.push_back(std::move(port));
  }
  return all;
}

}  // namespace ca::bench
