#pragma once
// A disk of a domain that is there: in its definition, and in the guest when it runs. Each function looks before it acts, so that a
// second time does no harm.

#include "agent/domainxml/domain_xml.h"
#include "agent/journal/verb.h"
#include "agent/verbs/services.h"

namespace ca {

// Of a step that calls detach_disk().
[[nodiscard]] std::chrono::milliseconds detach_limit(const Config& config);

Result<void> attach_disk(Services& s, const StepContext& ctx, const DiskDevice& disk);
// Asks a running guest device_detach_attempts times and waits device_detach_timeout for its answer each time. kTimeout: it holds on,
// and the definition has the disk again.
Result<void> detach_disk(Services& s, const StepContext& ctx, const DiskDevice& disk);
// The running guest learns of the new size of the disk with that serial.
Result<void> resize_disk(Services& s, const Uuid& instance, const std::string& serial, std::int64_t bytes);

}  // namespace ca
