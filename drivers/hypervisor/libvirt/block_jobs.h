#pragma once
// Copies of a running domain's disks (https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainBlockCopy).

#include <libvirt/libvirt.h>

#include <optional>
#include <string>

#include "drivers/hypervisor.h"

namespace ca::lv {

// False: libvirt's last error says why.
[[nodiscard]] bool start_copy(virDomainPtr domain, const std::string& disk, const std::string& file, DiskFormat format);
// Nothing: libvirt's last error says why.
[[nodiscard]] std::optional<BlockJob> read_job(virDomainPtr domain, const std::string& disk);
// "vda: ready"
[[nodiscard]] DomainEvent block_job_event(const char* target, int status);

}  // namespace ca::lv
