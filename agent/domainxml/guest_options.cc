#include "agent/domainxml/guest_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

namespace ca {
namespace {

using Options = GuestOptions;
using Words = std::vector<std::string_view>;

struct Choice {
  std::string Options::*member;
  Words allowed;
};
struct Word {  // letters, digits, '.', '_', '-'
  std::string Options::*member;
};
struct Flag {
  bool Options::*member;
};
struct Switch {  // "on" or "off"
  std::string Options::*member;
};
struct Number {
  std::int64_t Options::*member;
  std::int64_t min, max;
};
struct TopologyPart {
  CpuTopology Options::*member;
  std::int64_t CpuTopology::*part;
};
struct Quota {
  std::string_view name;
  std::int64_t min, max;
};
struct Unused {};  // has no effect here, as in nova without the feature it belongs to
struct NotYet {    // only values that ask for nothing
  Words harmless;
};

struct Rule {
  std::string_view name;
  std::variant<Choice, Word, Flag, Switch, Number, TopologyPart, Quota, Unused, NotYet> kind;
};

constexpr std::int64_t kMaxCpus = 65536;
constexpr std::int64_t kMaxRate = INT64_MAX / 2;

const std::vector<Rule>& image_rules() {
  static const Words buses{"virtio", "scsi", "sata", "ide", "usb"};
  static const Words cdrom_buses{"ide", "sata", "scsi", "usb", "virtio"};
  static const std::vector<Rule> rules{
      {"hw_disk_bus", Choice{&Options::disk_bus, buses}},
      {"hw_cdrom_bus", Choice{&Options::cdrom_bus, cdrom_buses}},
      {"hw_scsi_model", Choice{&Options::scsi_model, {"virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "ibmvscsi"}}},
      {"hw_vif_model", Choice{&Options::vif_model, {"virtio", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "spapr-vlan", "vmxnet3"}}},
      {"hw_machine_type", Word{&Options::machine}},
      {"hw_video_model", Choice{&Options::video_model, {"virtio", "vga", "cirrus", "qxl", "vmvga", "bochs", "none"}}},
      {"hw_video_ram", Number{&Options::video_ram_mib, 0, 1024}},
      {"hw_input_bus", Choice{&Options::input_bus, {"usb", "virtio"}}},
      {"hw_pointer_model", Choice{&Options::pointer_model, {"usbtablet"}}},
      {"hw_rng_model", Choice{&Options::rng_model, {"virtio"}}},
      {"hw_watchdog_action", Choice{&Options::watchdog_action, {"disabled", "none", "pause", "poweroff", "reset"}}},
      {"hw_qemu_guest_agent", Flag{&Options::guest_agent}},
      {"hw_boot_menu", Flag{&Options::boot_menu}},
      {"hw_vif_multiqueue_enabled", Flag{&Options::multiqueue}},
      {"hw_time_hpet", Flag{&Options::hpet}},
      {"hw_pmu", Switch{&Options::pmu}},
      {"img_hide_hypervisor_id", Flag{&Options::hide_from_image}},
      {"hw_cpu_sockets", TopologyPart{&Options::image_topology, &CpuTopology::sockets}},
      {"hw_cpu_cores", TopologyPart{&Options::image_topology, &CpuTopology::cores}},
      {"hw_cpu_threads", TopologyPart{&Options::image_topology, &CpuTopology::threads}},
      {"hw_cpu_max_sockets", TopologyPart{&Options::image_topology_max, &CpuTopology::sockets}},
      {"hw_cpu_max_cores", TopologyPart{&Options::image_topology_max, &CpuTopology::cores}},
      {"hw_cpu_max_threads", TopologyPart{&Options::image_topology_max, &CpuTopology::threads}},
      {"os_type", Choice{&Options::os_type, {"linux", "windows"}}},
      {"hw_serial_port_count", Unused{}},
      {"hw_firmware_type", NotYet{{"bios"}}},
      {"os_secure_boot", NotYet{{"disabled", "optional"}}},
      {"hw_cpu_policy", NotYet{{"shared"}}},
      {"hw_cpu_thread_policy", NotYet{{"prefer"}}},
      {"hw_numa_nodes", NotYet{}},
      {"hw_mem_page_size", NotYet{{"small"}}},
      {"hw_mem_encryption", NotYet{{"false", "False", "no", "0"}}},
      {"hw_locked_memory", NotYet{{"false", "False", "no", "0"}}},
      {"hw_ephemeral_encryption", NotYet{{"false", "False", "no", "0"}}},
      {"hw_tpm_version", NotYet{}},
      {"hw_tpm_model", NotYet{}},
      {"hw_viommu_model", NotYet{}},
      {"hw_vm_mode", NotYet{{"hvm"}}},
      {"hw_architecture", NotYet{{"x86_64"}}},
      {"hw_emulation_architecture", NotYet{{"x86_64"}}},
  };
  return rules;
}

const std::vector<Rule>& flavor_rules() {
  static const std::vector<Rule> rules{
      {"hw:cpu_sockets", TopologyPart{&Options::flavor_topology, &CpuTopology::sockets}},
      {"hw:cpu_cores", TopologyPart{&Options::flavor_topology, &CpuTopology::cores}},
      {"hw:cpu_threads", TopologyPart{&Options::flavor_topology, &CpuTopology::threads}},
      {"hw:cpu_max_sockets", TopologyPart{&Options::flavor_topology_max, &CpuTopology::sockets}},
      {"hw:cpu_max_cores", TopologyPart{&Options::flavor_topology_max, &CpuTopology::cores}},
      {"hw:cpu_max_threads", TopologyPart{&Options::flavor_topology_max, &CpuTopology::threads}},
      {"hw:watchdog_action", Choice{&Options::watchdog_action, {"disabled", "none", "pause", "poweroff", "reset"}}},
      {"hw:boot_menu", Flag{&Options::boot_menu}},
      {"hw:vif_multiqueue_enabled", Flag{&Options::multiqueue}},
      {"hw:hide_hypervisor_id", Flag{&Options::hide_from_flavor}},
      {"hw:pmu", Switch{&Options::pmu}},
      {"hw:serial_port_count", Unused{}},
      {"hw:cpu_policy", NotYet{{"shared"}}},
      {"hw:cpu_thread_policy", NotYet{{"prefer"}}},
      {"hw:emulator_threads_policy", NotYet{}},
      {"hw:numa_nodes", NotYet{}},
      {"hw:mem_page_size", NotYet{{"small"}}},
      {"hw:locked_memory", NotYet{{"false", "False", "no", "0"}}},
      {"hw:mem_encryption", NotYet{{"false", "False", "no", "0"}}},
      {"hw_rng:allowed", Flag{&Options::rng_allowed}},
      {"hw_rng:rate_bytes", Number{&Options::rng_rate_bytes, 0, INT32_MAX}},
      {"hw_rng:rate_period", Number{&Options::rng_rate_period, 0, INT32_MAX}},
      {"hw_video:ram_max_mb", Number{&Options::video_ram_max_mib, 0, 1024}},
      // Bounds of the three: libvirt, formatdomain.html, "CPU Tuning".
      {"quota:cpu_shares", Quota{"cpu_shares", 2, 262144}},
      {"quota:cpu_period", Quota{"cpu_period", 1000, 1000000}},
      {"quota:cpu_quota", Quota{"cpu_quota", -1, INT64_MAX / 1000000}},
      {"quota:disk_read_bytes_sec", Quota{"disk_read_bytes_sec", 0, kMaxRate}},
      {"quota:disk_read_iops_sec", Quota{"disk_read_iops_sec", 0, kMaxRate}},
      {"quota:disk_write_bytes_sec", Quota{"disk_write_bytes_sec", 0, kMaxRate}},
      {"quota:disk_write_iops_sec", Quota{"disk_write_iops_sec", 0, kMaxRate}},
      {"quota:disk_total_bytes_sec", Quota{"disk_total_bytes_sec", 0, kMaxRate}},
      {"quota:disk_total_iops_sec", Quota{"disk_total_iops_sec", 0, kMaxRate}},
      {"quota:vif_inbound_average", Quota{"vif_inbound_average", 1, UINT32_MAX}},
      {"quota:vif_inbound_peak", Quota{"vif_inbound_peak", 1, UINT32_MAX}},
      {"quota:vif_inbound_burst", Quota{"vif_inbound_burst", 1, UINT32_MAX}},
      {"quota:vif_outbound_average", Quota{"vif_outbound_average", 1, UINT32_MAX}},
      {"quota:vif_outbound_peak", Quota{"vif_outbound_peak", 1, UINT32_MAX}},
      {"quota:vif_outbound_burst", Quota{"vif_outbound_burst", 1, UINT32_MAX}},
  };
  return rules;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::optional<bool> read_flag(const std::string& text) {
  constexpr std::array<std::string_view, 6> kTrue{"true", "yes", "on", "1", "t", "y"};
  constexpr std::array<std::string_view, 6> kFalse{"false", "no", "off", "0", "f", "n"};
  const std::string word = lower(text);
  if (std::ranges::find(kTrue, word) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, word) != kFalse.end()) return false;
  return std::nullopt;
}

std::optional<std::int64_t> read_number(const std::string& text, std::int64_t min, std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < min || value > max) return std::nullopt;
  return value;
}

std::string number_words(std::int64_t min, std::int64_t max) { return fmt::format("a whole number from {} to {}", min, max); }

// Stores one value; answers what is allowed when it is not.
struct Applier {
  const std::string& value;
  Options& options;
  using Refusal = std::optional<std::string>;

  Refusal operator()(const Choice& kind) const {
    const std::string word = lower(value);
    if (std::ranges::find(kind.allowed, word) == kind.allowed.end()) {
      return fmt::format("one of {}", fmt::join(kind.allowed, ", "));
    }
    options.*kind.member = word;
    return {};
  }
  Refusal operator()(const Word& kind) const {
    const auto fits = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    };
    if (value.empty() || value.size() > 64 || !std::ranges::all_of(value, fits)) {
      return "a machine type such as pc, q35 or pc-q35-7.2";
    }
    options.*kind.member = value;
    return {};
  }
  Refusal operator()(const Flag& kind) const {
    const auto flag = read_flag(value);
    if (!flag) return "true or false";
    options.*kind.member = *flag;
    return {};
  }
  Refusal operator()(const Switch& kind) const {
    const auto flag = read_flag(value);
    if (!flag) return "true or false";
    options.*kind.member = *flag ? "on" : "off";
    return {};
  }
  Refusal operator()(const Number& kind) const {
    const auto number = read_number(value, kind.min, kind.max);
    if (!number) return number_words(kind.min, kind.max);
    options.*kind.member = *number;
    return {};
  }
  Refusal operator()(const TopologyPart& kind) const {
    const auto number = read_number(value, 1, kMaxCpus);
    if (!number) return number_words(1, kMaxCpus);
    options.*kind.member.*kind.part = *number;
    return {};
  }
  Refusal operator()(const Quota& kind) const {
    const auto number = read_number(value, kind.min, kind.max);
    if (!number) return number_words(kind.min, kind.max);
    options.quota[std::string(kind.name)] = *number;
    return {};
  }
  Refusal operator()(const Unused&) const { return {}; }
  Refusal operator()(const NotYet& kind) const {
    if (std::ranges::find(kind.harmless, value) != kind.harmless.end()) return {};
    if (kind.harmless.empty()) return "left out: this agent does not support it yet";
    return fmt::format("left out or '{}': this agent does not support more yet", kind.harmless.front());
  }
};

Result<void> apply(const std::vector<Rule>& rules, const Properties& properties, std::string_view what, Options& options) {
  for (const Rule& rule : rules) {
    const auto given = properties.find(std::string(rule.name));
    if (given == properties.end()) continue;
    if (const auto allowed = std::visit(Applier{given->second, options}, rule.kind)) {
      return fail(Code::kInvalid, fmt::format("{} {} = '{:.80}' is not possible: it must be {}", what, rule.name, given->second, *allowed),
                  fmt::format("change or remove {}", rule.name));
    }
  }
  return {};
}

Result<void> refuse_unknown_specs(const Properties& specs) {
  for (const auto& [name, value] : specs) {
    const bool ours = name.starts_with("hw:") || name.starts_with("quota:");
    if (!ours || std::ranges::find(flavor_rules(), name, &Rule::name) != flavor_rules().end()) continue;
    std::vector<std::string_view> known;
    for (const Rule& rule : flavor_rules()) {
      if (!std::holds_alternative<NotYet>(rule.kind)) known.push_back(rule.name);
    }
    return fail(Code::kInvalid,
                fmt::format("extra spec {:.80} = '{:.80}' is not supported; known are {}", name, value, fmt::join(known, ", ")),
                "use a flavor without it");
  }
  return {};
}

}  // namespace

Result<GuestOptions> image_options(const ImageMeta& image) {
  Options options;
  CA_TRY_VOID(apply(image_rules(), image.properties, "image property", options));
  return options;
}

Result<GuestOptions> guest_options(const Flavor& flavor, const ImageMeta& image) {
  Options options;
  CA_TRY_VOID(refuse_unknown_specs(flavor.extra_specs));
  CA_TRY_VOID(apply(flavor_rules(), flavor.extra_specs, "extra spec", options));
  // Where both may speak, the image has the last word (nova: hw_boot_menu, hw_watchdog_action).
  CA_TRY_VOID(apply(image_rules(), image.properties, "image property", options));
  return options;
}

Result<void> check_image_properties(const Properties& properties) {
  Options options;
  Properties possible = properties;
  for (const Rule& rule : image_rules()) {
    if (std::holds_alternative<NotYet>(rule.kind)) possible.erase(std::string(rule.name));
  }
  return apply(image_rules(), possible, "image property", options);
}

}  // namespace ca
