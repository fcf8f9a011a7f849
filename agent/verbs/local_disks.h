#pragma once
// The disks that the agent makes for an instance: which, in which order, by which back end, and the files beside them that tell of
// them. Whatever needs a disk's format or place takes it from the record by way of these functions.

#include <string>
#include <vector>

#include "agent/domainxml/domain_xml.h"
#include "agent/verbs/services.h"

namespace ca {

// What disks of a back end are recorded as.
struct NewDisks {
  std::string storage;
  DiskFormat format = DiskFormat::kUnknown;
  std::string ephemeral_format;  // [DEFAULT] default_ephemeral_format; empty: by the image's os_type, as nova
};

// What a build makes, ordered and named as nova does it (virt/libvirt/blockinfo.py, get_disk_mapping): root, ephemeral disks, swap.
// Pure. kInvalid names an order that the flavor does not allow.
[[nodiscard]] Result<std::vector<LocalDisk>> planned_disks(const Instance& instance, const DiskPlan& plan, const NewDisks& made);
[[nodiscard]] Result<std::vector<LocalDisk>> planned_disks(Services& s, const Instance& instance);

// What the record says. A record without a word (an older one) has one disk, of the configured back end.
[[nodiscard]] std::vector<LocalDisk> recorded_disks(Services& s, const Instance& instance);
[[nodiscard]] Result<DiskBackend*> backend_of(Services& s, const LocalDisk& disk);

// The <disk> elements of the instance's local disks and its config drive.
[[nodiscard]] Result<std::vector<DiskDevice>> local_disk_devices(Services& s, const Instance& instance, const std::string& machine);
// Cache mode that [libvirt] disk_cachemodes names for this kind of source.
[[nodiscard]] std::string cache_mode(const Config& config, const DiskSource& source);

// nova's disk.info, path to format of every disk that is a file; and instance.json, the record's copy. Both are written whenever the
// record's disks change.
[[nodiscard]] Result<void> write_disk_info(Services& s, const Uuid& uuid, const std::vector<LocalDisk>& disks);
[[nodiscard]] Result<void> write_record_copy(Services& s, const Instance& instance);

}  // namespace ca
