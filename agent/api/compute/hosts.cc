// Services and hypervisors: this host, as the Compute API shows hosts.

#include <fmt/format.h>

#include "agent/api/api_services.h"
#include "agent/core/clock.h"

namespace ca {
namespace {

// Stable ids, as microversion 2.53 wants them: made from the host name.
Uuid id_of(const std::string& host, char kind) {
  std::uint64_t a = 0xcbf29ce484222325ULL ^ static_cast<unsigned char>(kind), b = 0x84222325cbf29ce4ULL;
  for (const char c : host) {
    a = (a ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    b = (b ^ a) * 0x100000001b3ULL;
  }
  return fmt::format("{:08x}-{:04x}-5{:03x}-8{:03x}-{:012x}", static_cast<std::uint32_t>(a >> 32), static_cast<std::uint16_t>(a >> 16),
                     static_cast<unsigned>(a & 0xfff), static_cast<unsigned>(b & 0xfff), (b >> 16) & 0xffffffffffffULL);
}

Service service_record(ApiServices& s) {
  const auto stored = s.verbs.store.get<Service>(s.verbs.config.host);
  Service service = stored ? *stored : Service{};
  service.host = s.verbs.config.host;
  return service;
}

Json service_view(ApiServices& s) {
  const Service service = service_record(s);
  const HostView host = s.host();
  std::string reason = service.disabled_reason;
  const bool disabled = service.disabled || !host.hypervisor_up;
  if (!host.hypervisor_up && reason.empty()) reason = "AUTO: libvirt does not answer: " + host.hypervisor_down_reason;
  return {{"id", id_of(service.host, 's')},
          {"binary", "nova-compute"},
          {"host", service.host},
          {"zone", s.verbs.config.default_availability_zone},
          {"status", disabled ? "disabled" : "enabled"},
          {"state", service.forced_down ? "down" : "up"},
          {"updated_at", iso_micros(s.verbs.clock.wall_us())},
          {"disabled_reason", disabled && !reason.empty() ? Json(reason) : Json(nullptr)},
          {"forced_down", service.forced_down}};
}

Result<ApiResponse> update_service(ApiServices& s, const ApiRequest& request) {
  if (request.param("id") != id_of(s.verbs.config.host, 's')) {
    return fail(Code::kNotFound, fmt::format("Service {} not found.", request.param("id")),
                "`computectl compute service list` shows the services");
  }
  CA_TRY(const Json body, checked_body(s, request, "service_update"));
  Service service = service_record(s);
  if (body.contains("status")) {
    service.disabled = body.at("status") == "disabled";
    service.disabled_reason.clear();
  }
  if (const auto reason = body.find("disabled_reason"); reason != body.end() && reason->is_string()) {
    if (!service.disabled) return fail(Code::kInvalid, "Specifying disabled_reason is only allowed when disabling a service.");
    service.disabled_reason = *reason;
  }
  service.forced_down = body.value("forced_down", service.forced_down);
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    service.updated_us = tx.now_us();
    return tx.put(service);
  }));
  ApiResponse response;
  response.body = Json{{"service", service_view(s)}};
  return response;
}

Json cpu_info(const HostView& host) {
  if (!host.facts) return Json(nullptr);
  const HostFacts& f = *host.facts;
  return {{"arch", f.arch},
          {"model", f.cpu_model},
          {"vendor", f.cpu_vendor},
          {"features", f.cpu_features},
          {"topology", {{"sockets", f.sockets}, {"cores", f.cores}, {"threads", f.threads}}}};
}

Json hypervisor_view(ApiServices& s, bool detail) {
  const HostView host = s.host();
  const Service service = service_record(s);
  Json view{{"id", id_of(service.host, 'h')},
            {"hypervisor_hostname", host.facts ? host.facts->hostname : service.host},
            {"state", host.hypervisor_up && !service.forced_down ? "up" : "down"},
            {"status", service.disabled ? "disabled" : "enabled"}};
  if (!detail) return view;
  const Claim usage = s.verbs.claims.usage().used;
  const Config& config = s.verbs.config;
  const std::int64_t memory = host.facts ? host.facts->memory_mib : 0;
  const std::int64_t memory_used = usage.memory_mib + config.reserved_host_memory_mb;
  view["hypervisor_type"] = host.facts ? Json(host.facts->hypervisor_type) : Json(nullptr);
  view["hypervisor_version"] = host.facts ? host.facts->hypervisor_version : 0;
  view["virt_type"] = host.virt.type;
  view["virt_type_reason"] = host.virt.reason;
  view["host_ip"] = config.my_ip;
  view["service"] = {{"id", id_of(service.host, 's')},
                     {"host", service.host},
                     {"disabled_reason", service.disabled_reason.empty() ? Json(nullptr) : Json(service.disabled_reason)}};
  view["vcpus"] = host.facts ? host.facts->cpus : 0;
  view["vcpus_used"] = usage.vcpus;
  view["memory_mb"] = memory;
  view["memory_mb_used"] = memory_used;
  view["free_ram_mb"] = memory - memory_used;
  view["local_gb"] = host.disk_total_gib;
  view["local_gb_used"] = usage.disk_gib + host.image_cache_gib;
  view["free_disk_gb"] = host.disk_total_gib - usage.disk_gib - host.image_cache_gib;
  view["disk_available_least"] = host.disk_free_gib;
  view["current_workload"] = s.journal.stats().open;
  view["running_vms"] = s.verbs.store.count<Instance>();
  view["cpu_info"] = cpu_info(host);
  view["uptime"] = nullptr;
  view["servers"] = Json::array();
  return view;
}

Result<ApiResponse> statistics(ApiServices& s) {
  const Json one = hypervisor_view(s, true);
  Json sum{{"count", 1}};
  for (const char* name : {"vcpus", "vcpus_used", "memory_mb", "memory_mb_used", "free_ram_mb", "local_gb", "local_gb_used", "free_disk_gb",
                           "disk_available_least", "current_workload", "running_vms"}) {
    sum[name] = one.at(name);
  }
  ApiResponse response;
  response.body = Json{{"hypervisor_statistics", std::move(sum)}};
  return response;
}

ApiResponse with_body(Json body) {
  ApiResponse response;
  response.body = std::move(body);
  return response;
}

}  // namespace

void add_host_routes(Router& router, ApiServices& s) {
  const std::string base = "/compute/v2.1";
  router.add("GET", base + "/os-services", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const std::string host = r.query_or("host", s.verbs.config.host), binary = r.query_or("binary", "nova-compute");
    Json list = Json::array();
    if (host == s.verbs.config.host && binary == "nova-compute") list.push_back(service_view(s));
    return with_body({{"services", std::move(list)}});
  });
  router.add("PUT", base + "/os-services/{id}", [&s](const ApiRequest& r) { return update_service(s, r); });
  const auto list = [&s](bool detail) {
    return [&s, detail](const ApiRequest& r) -> Result<ApiResponse> {
      Json all = Json::array();
      const Json view = hypervisor_view(s, detail);
      const std::string pattern = r.query_or("hypervisor_hostname_pattern", "");
      if (view.at("hypervisor_hostname").get<std::string>().find(pattern) != std::string::npos) all.push_back(view);
      return with_body({{"hypervisors", std::move(all)}});
    };
  };
  router.add("GET", base + "/os-hypervisors", list(false));
  router.add("GET", base + "/os-hypervisors/detail", list(true));
  router.add("GET", base + "/os-hypervisors/statistics", [&s](const ApiRequest&) { return statistics(s); });
  router.add("GET", base + "/os-hypervisors/{id}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const Json view = hypervisor_view(s, true);
    if (view.at("id") != r.param("id")) {
      return fail(Code::kNotFound, fmt::format("Compute host {} could not be found.", r.param("id")),
                  "`computectl hypervisor list` shows the hosts");
    }
    return with_body({{"hypervisor", view}});
  });
}

}  // namespace ca
