#pragma once
// Steps that several verbs share. Each function gives one Step; names are what the journal, events and fault points call it.

#include "agent/journal/verb.h"
#include "agent/verbs/services.h"
#include "drivers/config_drive.h"

namespace ca {

// --- network (network_steps.cc, address_steps.cc)
[[nodiscard]] Step allocate_ports_step(Services& s);  // port, MAC and address records; undo removes them
[[nodiscard]] Step plug_ports_step(Services& s);      // network up, DHCP entries; undo unplugs
[[nodiscard]] Step unplug_ports_step(Services& s);

// --- what the host has (build.cc)
[[nodiscard]] Step claim_step(Services& s);  // undo releases it

// --- disk (disk_steps.cc)
// The image's base is in _base, where disks are made of one.
[[nodiscard]] Result<void> fetch_base(Services& s, const ImageMeta& image);
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

// --- orders that take a guest down and put something else in its place (exchange_steps.cc). Their accept() records old_vm_state.
// Powers off; undo starts the guest again where the order found it active, unless what it ran on is lost.
[[nodiscard]] Step take_down_step(Services& s);
// In an undo: what the instance ran on before is gone, so take_down_step's undo leaves it off.
void mark_lost(StepContext& ctx);
[[nodiscard]] bool is_lost(StepContext& ctx);
// define and start, where the record or the order says that the guest is to run.
[[nodiscard]] Step start_if_step(Services& s, std::function<bool(const StepContext&)> wanted);

// --- images of instances (snapshot_steps.cc). The order's `image_id` names a queued image, made by new_snapshot().
[[nodiscard]] ImageMeta new_snapshot(const Instance& instance, const Uuid& id, const std::string& name, const std::string& type);
// kNotFound, kConflict: no such image waits for data. What is refused leaves no image behind.
[[nodiscard]] Result<Instance> accept_snapshot(Order order, const Message& message, Tx& tx);
[[nodiscard]] Step copy_disk_step(Services& s, TaskState task);     // undo ends the copy and removes it and the image
[[nodiscard]] Step upload_image_step(Services& s, TaskState task);  // undo removes the stored data
// In an undo: the image stays, although the order failed.
void keep_image(StepContext& ctx);

// kInvalid with both sizes: the flavor is too small for the image. A root that is a volume need not hold to the flavor's disk.
[[nodiscard]] Result<void> check_image_fits(const Flavor& flavor, const ImageMeta& image, bool local_root = true);
// kInvalid, naming `what`: the instance's root disk is a volume, which the agent does not copy or replace.
[[nodiscard]] Result<void> check_local_root(const Instance& instance, std::string_view what);
// create_disk of an instance as it stands in `instance`, whose image may be another than the record's.
Result<void> make_disks(Services& s, StepContext& ctx, const Instance& instance);
[[nodiscard]] Result<ConfigDriveFiles> config_drive_files(Services& s, const Instance& instance, const std::string& admin_pass);

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
