#include "agent/domainxml/converters.h"

namespace ca::domainxml {
namespace {

bool is_x86(const std::string& arch) { return arch == "x86_64" || arch == "i686"; }

void add_state(Node parent, const char* name, const std::string& state) { set(add(parent, name), "state", state); }

// The enlightenments nova gives Windows guests, but for evmcs and reenlightenment, which only some Intel hosts can do. They are
// KVM's, so that an emulated guest gets none.
void add_hyperv(Node features, bool hide_hypervisor) {
  Node hyperv = add(features, "hyperv");
  for (const char* name : {"relaxed", "vapic", "vpindex", "runtime", "synic", "reset", "frequencies", "tlbflush", "ipi"}) {
    add_state(hyperv, name, "on");
  }
  Node spinlocks = add(hyperv, "spinlocks");
  set(spinlocks, "state", "on");
  set(spinlocks, "retries", "8191");
  if (hide_hypervisor) {
    Node vendor = add(hyperv, "vendor_id");
    set(vendor, "state", "on");
    set(vendor, "value", "1234567890ab");
  }
}

void add_timer(Node clock, const char* name, const char* attribute, const char* value) {
  Node timer = add(clock, "timer");
  set(timer, "name", name);
  set(timer, attribute, value);
}

}  // namespace

void add_sysinfo(Node domain, const GuestSpec& spec) {
  if (!is_x86(spec.arch)) return;
  Node sysinfo = add(domain, "sysinfo");
  set(sysinfo, "type", "smbios");
  Node system = add(sysinfo, "system");
  const auto entry = [&](const char* name, const std::string& text) { set(add_text(system, "entry", text), "name", name); };
  // cloud-init and others know an OpenStack guest by manufacturer and product.
  entry("manufacturer", "OpenStack Foundation");
  entry("product", "OpenStack Nova");
  entry("version", spec.product_version);
  entry("serial", spec.instance.uuid);
  entry("uuid", spec.instance.uuid);
  entry("family", "Virtual Machine");
}

void add_os(Node domain, const GuestSpec& spec, const GuestOptions& options) {
  Node os = add(domain, "os");
  Node type = add_text(os, "type", "hvm");
  set(type, "arch", spec.arch);
  if (const std::string machine = machine_of(options, spec.machine); !machine.empty()) set(type, "machine", machine);
  const bool from_cdrom = !spec.disks.empty() && spec.disks.front().kind == DiskDevice::Kind::kCdrom;
  set(add(os, "boot"), "dev", from_cdrom ? "cdrom" : "hd");
  if (options.boot_menu) set(add(os, "bootmenu"), "enable", "yes");
  if (is_x86(spec.arch)) set(add(os, "smbios"), "mode", "sysinfo");
}

void add_features(Node domain, const GuestSpec& spec, const GuestOptions& options) {
  const bool hide = options.hide_from_flavor || options.hide_from_image;
  Node features = add(domain, "features");
  add(features, "acpi");
  add(features, "apic");
  if (options.os_type == "windows" && spec.virt_type == "kvm") add_hyperv(features, hide);
  if (is_x86(spec.arch) || spec.arch == "aarch64") add_state(features, "vmcoreinfo", "on");
  if (hide) add_state(add(features, "kvm"), "hidden", "on");
  if (!options.pmu.empty()) add_state(features, "pmu", options.pmu);
}

void add_clock(Node domain, const GuestSpec& spec, const GuestOptions& options) {
  const bool windows = options.os_type == "windows";
  Node clock = add(domain, "clock");
  set(clock, "offset", windows ? "localtime" : "utc");
  if (spec.virt_type != "kvm") return;
  add_timer(clock, "pit", "tickpolicy", "delay");
  add_timer(clock, "rtc", "tickpolicy", "catchup");
  if (is_x86(spec.arch)) add_timer(clock, "hpet", "present", options.hpet ? "yes" : "no");
  if (windows) add_timer(clock, "hypervclock", "present", "yes");
}

void add_lifecycle(Node domain) {
  add_text(domain, "on_poweroff", "destroy");
  add_text(domain, "on_reboot", "restart");
  add_text(domain, "on_crash", "destroy");
}

}  // namespace ca::domainxml
