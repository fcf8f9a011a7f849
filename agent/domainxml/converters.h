#pragma once
// One converter per device class, each in the file of that name. They add elements below `parent` and know nothing of each other.

#include <pugixml.hpp>

#include "agent/domainxml/domain_xml.h"
#include "agent/domainxml/guest_options.h"

namespace ca::domainxml {

using Node = pugi::xml_node;

// metadata.cc: <nova:instance>, read by nova's own tools (notifications, ceilometer).
void add_nova_metadata(Node domain, const GuestSpec& spec);
// system.cc: <sysinfo>, <os>, <features>, <clock>, lifecycle actions.
void add_sysinfo(Node domain, const GuestSpec& spec);
void add_os(Node domain, const GuestSpec& spec, const GuestOptions& options);
void add_features(Node domain, const GuestSpec& spec, const GuestOptions& options);
void add_clock(Node domain, const GuestSpec& spec, const GuestOptions& options);
void add_lifecycle(Node domain);
// cpu.cc: <cpu> with topology, <cputune>.
Result<CpuTopology> choose_topology(std::int64_t vcpus, const GuestOptions& options);
Result<void> add_cpu(Node domain, const GuestSpec& spec, const GuestOptions& options);
void add_cputune(Node domain, const GuestOptions& options);
// Devices.
Result<void> add_disk(Node devices, const DiskDevice& disk, const GuestOptions& options);
void add_controllers(Node devices, const GuestSpec& spec, const GuestOptions& options);
Result<void> add_interface(Node devices, const NicDevice& nic, const GuestSpec& spec, const GuestOptions& options);
void add_console(Node devices, const GuestSpec& spec);
Result<void> add_graphics(Node devices, const GuestSpec& spec, const GuestOptions& options);
void add_guest_agent(Node devices, const GuestOptions& options);
void add_rng(Node devices, const GuestSpec& spec, const GuestOptions& options);
void add_watchdog(Node devices, const GuestOptions& options);
void add_balloon(Node devices, const GuestSpec& spec);

// xml.cc
Node add(Node parent, const char* name);
Node add_text(Node parent, const char* name, const std::string& text);
Node add_text(Node parent, const char* name, std::int64_t number);
void set(Node node, const char* attribute, const std::string& value);
void set(Node node, const char* attribute, std::int64_t value);
// `text` with everything that XML 1.0 cannot carry (control characters, broken UTF-8) replaced by U+FFFD.
[[nodiscard]] std::string xml_safe(const std::string& text);
// hw_machine_type of the image, else the configured one.
[[nodiscard]] std::string machine_of(const GuestOptions& options, const std::string& configured);
[[nodiscard]] bool is_q35(const std::string& machine);

}  // namespace ca::domainxml
