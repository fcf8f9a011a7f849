#pragma once
// Steps that several verbs share. Each function gives one Step; names are what the journal, events and fault points call it.

#include "agent/journal/verb.h"
#include "agent/verbs/services.h"

namespace ca {

// --- network (network_steps.cc, address_steps.cc)
[[nodiscard]] Step allocate_ports_step(Services& s);  // port, MAC and address records; undo removes them
[[nodiscard]] Step plug_ports_step(Services& s);      // network up, DHCP entries; undo unplugs
[[nodiscard]] Step unplug_ports_step(Services& s);

// --- disk (disk_steps.cc)
[[nodiscard]] Step fetch_image_step(Services& s);
[[nodiscard]] Step create_disk_step(Services& s);  // directory, root disk, disk.info; undo removes the directory
[[nodiscard]] Step create_config_drive_step(Services& s);
[[nodiscard]] Step remove_directory_step(Services& s);

// --- volumes (volume_steps.cc)
// Reserves the volumes that the instance's block devices name, and records those that the build is to make. Twice is no harm.
Result<void> record_volumes(Tx& tx, const Config& config, Instance& record);
// After a build that failed; what it made is deleted.
Result<void> give_volumes_back(Services& s, Tx& tx, const Instance& record);
[[nodiscard]] Step make_volumes_step(Services& s);     // storage of those to be made; all connected
[[nodiscard]] Step release_volumes_step(Services& s);  // all given back; those that end with the instance are deleted

// --- guest (guest_steps.cc)
[[nodiscard]] Step define_step(Services& s, bool undoable);
[[nodiscard]] Step start_step(Services& s, bool undoable);  // and waits for libvirt's event
[[nodiscard]] Step shutdown_step(Services& s);              // asks the guest, waits for its end up to shutdown_timeout
[[nodiscard]] Step power_off_step(Services& s);
[[nodiscard]] Step undefine_step(Services& s);

// Ports of the instance in NIC order, with their networks and subnets.
struct NicRecords {
  Port port;
  Network network;
  std::vector<Subnet> subnets;
};
[[nodiscard]] Result<std::vector<NicRecords>> nic_records(Services& s, const Instance& instance);

// Domain XML of the instance as it is recorded now (guest_spec.cc).
[[nodiscard]] Result<std::string> guest_xml(Services& s, const Instance& instance);
// hw_machine_type of the image, else what [libvirt] hw_machine_type names; empty: libvirt's default.
[[nodiscard]] std::string machine_for(const Config& config, const Instance& instance, const std::string& arch);
// Root disk size: the flavor's, or the image's when the flavor says 0. Bytes.
[[nodiscard]] std::int64_t root_bytes(const Instance& instance);

// The record of `message`'s instance, when `order` is allowed in its state.
[[nodiscard]] Result<Instance> accept_order(Order order, const Message& message, Tx& tx);
// Puts the record into the state the domain is really in, with the fault; for failed power verbs.
Result<void> settle_failed(Services& s, Tx& tx, Instance& record, const Fault& fault);

}  // namespace ca
