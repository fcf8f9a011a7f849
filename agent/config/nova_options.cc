// Options of nova 26.2 in the sections that we read, without those in option_table(): nova.conf is often shared between services, and
// naming a "nearest" option for one of these would mislead.

#include <algorithm>
#include <array>

#include "agent/config/options.h"

namespace ca {
namespace {

constexpr auto kDefault = std::to_array<std::string_view>({
    "allow_resize_to_same_host", "arq_binding_timeout", "backdoor_port", "backdoor_socket",
    "block_device_allocate_retries", "block_device_allocate_retries_interval", "cert", "compute_driver",
    "compute_monitors", "config_drive_format", "consecutive_build_service_disable_threshold", "console_host",
    "control_exchange", "cpu_dedicated_set", "cpu_shared_set", "daemon", "default_access_ip_network_name",
    "default_ephemeral_format", "default_log_levels", "default_schedule_zone", "enable_new_services", "enabled_apis",
    "enabled_ssl_apis", "executor_thread_pool_size", "fatal_deprecations", "flat_injected",
    "graceful_shutdown_timeout", "heal_instance_info_cache_interval", "image_type_exclude_list",
    "initial_cpu_allocation_ratio", "initial_disk_allocation_ratio", "initial_ram_allocation_ratio",
    "injected_network_template", "instance_build_timeout", "instance_delete_interval", "instance_format",
    "instance_name_template", "instance_usage_audit", "instance_usage_audit_period", "instance_uuid_format",
    "internal_service_availability_zone", "key", "live_migration_retry_count", "live_migration_wait_for_vif_plug",
    "log_config_append", "log_date_format", "log_dir", "log_options", "log_rotate_interval",
    "log_rotate_interval_type", "log_rotation_type", "logging_context_format_string", "logging_debug_format_suffix",
    "logging_default_format_string", "logging_exception_prefix", "logging_user_identity_format", "long_rpc_timeout",
    "max_concurrent_disk_ops", "max_concurrent_live_migrations", "max_concurrent_snapshots",
    "max_disk_devices_to_attach", "max_local_block_devices", "max_logfile_count", "max_logfile_size_mb",
    "maximum_instance_delete_attempts", "metadata_listen", "metadata_listen_port", "metadata_workers", "mkisofs_cmd",
    "my_block_storage_ip", "network_allocate_retries", "non_inheritable_image_properties", "osapi_compute_listen",
    "osapi_compute_listen_port", "osapi_compute_unique_server_name_scope", "osapi_compute_workers",
    "packing_host_numa_cells_allocation_strategy", "password_length", "periodic_enable", "periodic_fuzzy_delay",
    "pointer_model", "preallocate_images", "provider_config_location", "publish_errors", "pybasedir",
    "rate_limit_burst", "rate_limit_except_level", "rate_limit_interval", "reboot_timeout",
    "reclaim_instance_interval", "record", "reimage_timeout_per_gb", "report_interval", "rescue_timeout",
    "reserved_huge_pages", "resize_confirm_window", "resize_fs_using_block_device",
    "resource_provider_association_refresh", "rootwrap_config", "rpc_ping_enabled", "rpc_response_timeout",
    "run_external_periodic_tasks", "running_deleted_instance_action", "running_deleted_instance_poll_interval",
    "running_deleted_instance_timeout", "scheduler_instance_sync_interval", "service_down_time",
    "servicegroup_driver", "shelved_offload_time", "shelved_poll_interval", "shutdown_retry_interval",
    "source_is_ipv6", "ssl_only", "sync_power_state_interval", "sync_power_state_pool_size", "syslog_log_facility",
    "tempdir", "timeout_nbd", "transport_url", "update_resources_interval", "use_cow_images", "use_eventlog",
    "use_journal", "use_json", "use_rootwrap_daemon", "use_stderr", "use_syslog", "vcpu_pin_set",
    "vif_plugging_is_fatal", "vif_plugging_timeout", "virt_mkfs", "vmdk_allowed_types", "volume_usage_poll_interval",
    "watch_log_file", "web",
});

constexpr auto kApi = std::to_array<std::string_view>({
    "auth_strategy", "compute_link_prefix", "config_drive_skip_versions", "enable_instance_password",
    "glance_link_prefix", "instance_list_cells_batch_fixed_size", "instance_list_cells_batch_strategy",
    "instance_list_per_project_cells", "list_records_by_skipping_down_cells", "local_metadata_per_cell", "max_limit",
    "metadata_cache_expiration", "neutron_default_tenant_id", "use_forwarded_for", "use_neutron_default_nets",
    "vendordata_dynamic_connect_timeout", "vendordata_dynamic_failure_fatal", "vendordata_dynamic_read_timeout",
    "vendordata_dynamic_ssl_certfile", "vendordata_dynamic_targets", "vendordata_jsonfile_path",
    "vendordata_providers",
});

constexpr auto kImageCache = std::to_array<std::string_view>({
    "manager_interval", "precache_concurrency", "remove_unused_base_images",
    "remove_unused_original_minimum_age_seconds", "remove_unused_resized_minimum_age_seconds",
});

constexpr auto kLibvirt = std::to_array<std::string_view>({
    "device_detach_attempts", "device_detach_timeout", "disk_prefix", "enabled_perf_events", "file_backed_memory",
    "gid_maps", "images_rbd_ceph_conf", "images_rbd_glance_copy_poll_interval", "images_rbd_glance_copy_timeout",
    "images_rbd_glance_store_name", "images_rbd_pool", "images_volume_group", "inject_key", "inject_partition",
    "inject_password", "iscsi_iface", "iser_use_multipath", "live_migration_bandwidth",
    "live_migration_completion_timeout", "live_migration_downtime", "live_migration_downtime_delay",
    "live_migration_downtime_steps", "live_migration_inbound_addr", "live_migration_permit_auto_converge",
    "live_migration_permit_post_copy", "live_migration_scheme", "live_migration_timeout_action",
    "live_migration_tunnelled", "live_migration_uri", "live_migration_with_native_tls", "max_queues",
    "nfs_mount_options", "nfs_mount_point_base", "num_aoe_discover_tries", "num_iser_scan_tries",
    "num_memory_encrypted_guests", "num_nvme_discover_tries", "num_pcie_ports", "num_volume_scan_tries",
    "pmem_namespaces", "quobyte_client_cfg", "quobyte_mount_point_base", "rbd_connect_timeout",
    "rbd_destroy_volume_retries", "rbd_destroy_volume_retry_interval", "rbd_secret_uuid", "rbd_user",
    "realtime_scheduler_priority", "remote_filesystem_transport", "rescue_image_id", "rescue_kernel_id",
    "rescue_ramdisk_id", "rx_queue_size", "smbfs_mount_options", "smbfs_mount_point_base", "snapshot_compression",
    "snapshot_image_format", "snapshots_directory", "sparse_logical_volumes", "swtpm_enabled", "swtpm_group",
    "swtpm_user", "sysinfo_serial", "tx_queue_size", "uid_maps", "use_virtio_for_bridges", "volume_clear",
    "volume_clear_size", "volume_use_multipath", "vzstorage_cache_path", "vzstorage_log_path",
    "vzstorage_mount_group", "vzstorage_mount_opts", "vzstorage_mount_perms", "vzstorage_mount_point_base",
    "vzstorage_mount_user",
});

constexpr auto kVnc = std::to_array<std::string_view>({
    "auth_schemes", "novncproxy_base_url", "novncproxy_host", "novncproxy_port", "server_proxyclient_address",
    "vencrypt_ca_certs", "vencrypt_client_cert", "vencrypt_client_key",
});

template <typename Names>
bool has(const Names& names, std::string_view name) {
  return std::ranges::binary_search(names, name);
}

}  // namespace

bool is_unused_nova_option(std::string_view section, std::string_view name) {
  if (section == "DEFAULT") return has(kDefault, name);
  if (section == "api") return has(kApi, name);
  if (section == "image_cache") return has(kImageCache, name);
  if (section == "libvirt") return has(kLibvirt, name);
  if (section == "vnc") return has(kVnc, name);
  return false;
}

}  // namespace ca
