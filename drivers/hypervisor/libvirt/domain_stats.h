#pragma once
// libvirt's bulk statistics read into DomainStats. Names of the parameters: virConnectGetAllDomainStats.

#include <libvirt/libvirt.h>

#include "drivers/hypervisor.h"

namespace ca::lv {

[[nodiscard]] DomainStats read_stats(virTypedParameterPtr params, int count);

}  // namespace ca::lv
