#include "agent/config/options.h"

#include "agent/config/host_defaults.h"

namespace ca {
namespace {

constexpr std::int64_t kDay = 24 * 60 * 60;
constexpr std::int64_t kTebi = std::int64_t{1} << 40;
constexpr std::string_view kPathWords = "an absolute path without '.' or '..'";
constexpr std::string_view kIpWords = "an IPv4 or IPv6 address";

std::vector<Option> default_options() {
  return {
      {.section = "DEFAULT", .name = "host", .member = &Config::host, .default_of_host = default_host,
       .default_words = "the host's name", .accepts = is_host_name, .accepts_words = "a host name",
       .help = "Name of this host in records, messages and services."},
      {.section = "DEFAULT", .name = "my_ip", .member = &Config::my_ip, .default_of_host = default_my_ip,
       .default_words = "address of the default route's interface, else 127.0.0.1", .accepts = is_ip_address,
       .accepts_words = kIpWords, .help = "Address of this host that other hosts reach."},
      {.section = "DEFAULT", .name = "state_path", .member = &Config::state_path, .default_text = "/var/lib/nova",
       .accepts = is_clean_path, .accepts_words = kPathWords, .help = "Top directory of the state that nova's layout names."},
      {.section = "DEFAULT", .name = "instances_path", .member = &Config::instances_path,
       .default_text = "$state_path/instances", .accepts = is_clean_path, .accepts_words = kPathWords,
       .help = "Directory of the instances' disks and of the image cache."},
      {.section = "DEFAULT", .name = "force_raw_images", .member = &Config::force_raw_images, .default_text = "true",
       .help = "Convert images to raw in the cache; false keeps qcow2 as it is."},
      {.section = "DEFAULT", .name = "force_config_drive", .member = &Config::force_config_drive, .default_text = "false",
       .help = "Give every instance a config drive, asked for or not."},
      {.section = "DEFAULT", .name = "reserved_host_memory_mb", .member = &Config::reserved_host_memory_mb,
       .default_text = "512", .max = kTebi, .help = "Memory kept for the host, MiB."},
      {.section = "DEFAULT", .name = "reserved_host_disk_mb", .member = &Config::reserved_host_disk_mb,
       .default_text = "0", .max = kTebi, .help = "Disk kept for the host, MiB."},
      {.section = "DEFAULT", .name = "reserved_host_cpus", .member = &Config::reserved_host_cpus, .default_text = "0",
       .max = 100'000, .help = "CPUs kept for the host."},
      {.section = "DEFAULT", .name = "cpu_allocation_ratio", .member = &Config::cpu_allocation_ratio,
       .default_text = "4.0", .help = "vCPUs promised for each CPU of the host."},
      {.section = "DEFAULT", .name = "ram_allocation_ratio", .member = &Config::ram_allocation_ratio,
       .default_text = "1.0", .help = "Memory promised for each MiB of the host."},
      {.section = "DEFAULT", .name = "disk_allocation_ratio", .member = &Config::disk_allocation_ratio,
       .default_text = "1.0", .help = "Disk promised for each GiB of the host."},
      {.section = "DEFAULT", .name = "max_concurrent_builds", .member = &Config::max_concurrent_builds,
       .default_text = "10", .max = 10'000, .help = "Builds that run at once; 0: no limit besides max_workers."},
      {.section = "DEFAULT", .name = "shutdown_timeout", .member = &Config::shutdown_timeout, .default_text = "60",
       .max = kDay, .help = "Time a guest has to shut down before it is powered off, seconds."},
      {.section = "DEFAULT", .name = "resume_guests_state_on_host_boot",
       .member = &Config::resume_guests_state_on_host_boot, .default_text = "false",
       .help = "Start the instances that were active when the host went down."},
      {.section = "DEFAULT", .name = "default_availability_zone", .member = &Config::default_availability_zone,
       .default_text = "nova", .accepts = is_word, .accepts_words = "letters, digits, '.', '_', '-' and spaces",
       .help = "Availability zone of this host."},
      {.section = "DEFAULT", .name = "debug", .member = &Config::debug, .default_text = "false",
       .help = "Log at level debug."},
      {.section = "DEFAULT", .name = "log_file", .member = &Config::log_file, .default_text = "",
       .accepts = is_clean_path_or_empty, .accepts_words = "an absolute path without '.' or '..', or nothing",
       .help = "File the log goes to; empty: standard error (the journal under systemd)."},
      {.section = "image_cache", .name = "subdirectory_name", .member = &Config::image_cache_subdirectory_name,
       .default_text = "_base", .accepts = is_directory_name,
       .accepts_words = "one directory name of letters, digits, '.', '_' and '-', not starting with '.' and not 'locks'",
       .help = "Directory of cached images under instances_path.",
       .old_names = {{"DEFAULT", "image_cache_subdirectory_name"}}},
  };
}

std::vector<Option> libvirt_options() {
  return {
      {.section = "libvirt", .name = "virt_type", .member = &Config::virt_type, .default_text = "auto",
       .choices = {"auto", "kvm", "qemu"},
       .help = "Kind of guests; auto (ours): kvm where a probe shows that it works, else qemu."},
      {.section = "libvirt", .name = "connection_uri", .member = &Config::connection_uri,
       .default_text = "qemu:///system", .accepts = is_uri, .accepts_words = "a libvirt URI such as qemu:///system",
       .help = "libvirt connection."},
      {.section = "libvirt", .name = "cpu_mode", .member = &Config::cpu_mode, .default_text = "",
       .choices = {"", "none", "host-model", "host-passthrough", "custom", "maximum"},
       .help = "CPU that guests see; empty: host-model for kvm, none for qemu."},
      {.section = "libvirt", .name = "cpu_models", .member = &Config::cpu_models, .default_text = "", .accepts = is_word,
       .accepts_words = "CPU model names separated by commas",
       .help = "CPU models with cpu_mode = custom; the first is used.",
       .old_names = {{"libvirt", "cpu_model"}}},
      {.section = "libvirt", .name = "cpu_model_extra_flags", .member = &Config::cpu_model_extra_flags,
       .default_text = "", .accepts = is_cpu_flag, .accepts_words = "CPU flags separated by commas, each with '+', '-' or no sign",
       .help = "CPU flags switched on (+ or no sign) or off (-)."},
      {.section = "libvirt", .name = "images_type", .member = &Config::images_type, .default_text = "default",
       .choices = {"default", "qcow2", "raw"}, .help = "Form of instance disks; default is qcow2 over the cached image."},
      {.section = "libvirt", .name = "disk_cachemodes", .member = &Config::disk_cachemodes, .default_text = "",
       .accepts = is_cache_mode,
       .accepts_words = "items source=mode separated by commas; source: file, block, network, mount; "
                        "mode: default, none, writethrough, writeback, directsync, unsafe",
       .help = "Cache mode of disks by kind of source, for example file=writeback."},
      {.section = "libvirt", .name = "hw_disk_discard", .member = &Config::hw_disk_discard, .default_text = "",
       .choices = {"", "unmap", "ignore"}, .help = "What a guest's discard does on our disks; empty: QEMU's default."},
      {.section = "libvirt", .name = "hw_machine_type", .member = &Config::hw_machine_type, .default_text = "",
       .accepts = is_machine_choice, .accepts_words = "items arch=machine separated by commas, for example x86_64=q35",
       .help = "Machine type by architecture where the image names none."},
      {.section = "libvirt", .name = "rng_dev_path", .member = &Config::rng_dev_path, .default_text = "/dev/urandom",
       .accepts = is_clean_path, .accepts_words = kPathWords, .help = "Source of the guests' random number device."},
      {.section = "libvirt", .name = "mem_stats_period_seconds", .member = &Config::mem_stats_period_seconds,
       .default_text = "10", .max = kDay, .help = "Period of the guests' memory statistics, seconds; 0: none."},
      {.section = "libvirt", .name = "wait_soft_reboot_seconds", .member = &Config::wait_soft_reboot_seconds,
       .default_text = "120", .max = kDay,
       .help = "Time a guest has for a soft reboot before it is rebooted hard, seconds."},
      {.section = "vnc", .name = "enabled", .member = &Config::vnc_enabled, .default_text = "true",
       .help = "Give guests a VNC display.", .old_names = {{"DEFAULT", "vnc_enabled"}}},
      {.section = "vnc", .name = "server_listen", .member = &Config::vnc_server_listen, .default_text = "127.0.0.1",
       .accepts = is_ip_address, .accepts_words = kIpWords, .help = "Address that VNC displays listen on."},
  };
}

std::vector<Option> own_options() {
  return {
      {.section = "api", .name = "dhcp_domain", .member = &Config::dhcp_domain, .default_text = "novalocal",
       .accepts = is_domain_or_empty, .accepts_words = "a domain name or nothing",
       .help = "Domain of the instances' host names; empty: none.", .old_names = {{"DEFAULT", "dhcp_domain"}}},
      {.section = "api", .name = "listen", .member = &Config::api_listen, .default_text = "127.0.0.1",
       .accepts = is_ip_address, .accepts_words = kIpWords, .help = "Address that the REST interface listens on.",
       .ours = true},
      {.section = "api", .name = "port", .member = &Config::api_port, .default_text = "8774", .min = 1, .max = 65535,
       .help = "TCP port of the REST interface.", .ours = true},
      {.section = "api", .name = "token_file", .member = &Config::token_file,
       .default_text = "${agent.data_path}/token", .accepts = is_clean_path, .accepts_words = kPathWords,
       .help = "File with the token that REST callers must send.", .ours = true},
      {.section = "api", .name = "max_body_bytes", .member = &Config::max_body_bytes, .default_text = "1048576",
       .min = 1024, .max = std::int64_t{1} << 28, .help = "Largest JSON body taken, bytes.", .ours = true},
      {.section = "api", .name = "max_image_bytes", .member = &Config::max_image_bytes, .default_text = "1099511627776",
       .min = 1, .max = std::int64_t{1} << 50, .help = "Largest image upload taken, bytes.", .ours = true},
      {.section = "agent", .name = "data_path", .member = &Config::data_path, .default_text = "/var/lib/compute-agent",
       .accepts = is_clean_path, .accepts_words = kPathWords, .help = "Directory of agent.db, the token and the stored images.",
       .ours = true},
      {.section = "agent", .name = "operation_timeout", .member = &Config::operation_timeout, .default_text = "1800",
       .min = 1, .max = 7 * kDay, .help = "Deadline of a message that names none, seconds.", .ours = true},
      {.section = "agent", .name = "max_workers", .member = &Config::max_workers, .default_text = "24", .min = 1,
       .max = 1024, .help = "Threads for steps and driver calls, made when needed.", .ours = true},
      {.section = "agent", .name = "max_hung_workers", .member = &Config::max_hung_workers, .default_text = "16",
       .max = 1024, .help = "Hung threads that are replaced before the agent stops replacing them.", .ours = true},
      {.section = "agent", .name = "drain_timeout", .member = &Config::drain_timeout, .default_text = "60", .max = kDay,
       .help = "Time running steps have after SIGTERM, seconds.", .ours = true},
      {.section = "agent", .name = "qemu_img", .member = &Config::qemu_img, .default_text = "/usr/bin/qemu-img",
       .accepts = is_clean_path, .accepts_words = kPathWords, .help = "The qemu-img program.", .ours = true},
  };
}

}  // namespace

const std::vector<Option>& option_table() {
  static const std::vector<Option> table = [] {
    std::vector<Option> all = default_options();
    for (auto part : {libvirt_options(), own_options()}) {
      for (Option& option : part) all.push_back(std::move(option));
    }
    return all;
  }();
  return table;
}

}  // namespace ca
