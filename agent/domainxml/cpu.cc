#include <fmt/format.h>

#include <algorithm>

#include "agent/domainxml/converters.h"

namespace ca::domainxml {
namespace {

constexpr std::int64_t kNoLimit = 65536;

bool any(const CpuTopology& topology) { return topology.sockets != 0 || topology.cores != 0 || topology.threads != 0; }

bool exceeds(const CpuTopology& asked, const CpuTopology& most) {
  return asked.sockets > most.sockets || asked.cores > most.cores || asked.threads > most.threads;
}

std::string words(const CpuTopology& t) { return fmt::format("{}:{}:{}", t.sockets, t.cores, t.threads); }

int score(const CpuTopology& have, const CpuTopology& want) {
  return static_cast<int>(have.sockets == want.sockets) + static_cast<int>(have.cores == want.cores) +
         static_cast<int>(have.threads == want.threads);
}

// Better by nova's order: more of what was asked for, then fewer threads, then sockets before cores.
bool better(const CpuTopology& a, const CpuTopology& b, const CpuTopology& want) {
  const int score_a = score(a, want), score_b = score(b, want);
  if (score_a != score_b) return score_a > score_b;
  if (a.sockets * a.cores != b.sockets * b.cores) return a.sockets * a.cores > b.sockets * b.cores;
  return a.sockets > b.sockets;
}

CpuTopology limits(const GuestOptions& options) {
  const auto limit = [](std::int64_t image, std::int64_t flavor) { return image != 0 ? image : flavor != 0 ? flavor : kNoLimit; };
  const CpuTopology &image = options.image_topology_max, &flavor = options.flavor_topology_max;
  return {limit(image.sockets, flavor.sockets), limit(image.cores, flavor.cores), limit(image.threads, flavor.threads)};
}

// The mode libvirt is told; empty: none.
std::string cpu_mode(const GuestSpec& spec) {
  if (spec.cpu_mode == "none") return {};
  if (spec.cpu_mode.empty()) return spec.virt_type == "kvm" ? "host-model" : "";
  return spec.cpu_mode;
}

}  // namespace

// nova/virt/hardware.py, get_best_cpu_topology.
Result<CpuTopology> choose_topology(std::int64_t vcpus, const GuestOptions& options) {
  const CpuTopology &flavor_max = options.flavor_topology_max, &image_max = options.image_topology_max;
  const auto lowered = [](std::int64_t image, std::int64_t flavor) { return flavor == 0 || image <= flavor; };
  if (!lowered(image_max.sockets, flavor_max.sockets) || !lowered(image_max.cores, flavor_max.cores) ||
      !lowered(image_max.threads, flavor_max.threads)) {
    return fail(Code::kInvalid,
                fmt::format("image allows CPU topologies (sockets:cores:threads) up to {}, the flavor only up to {}", words(image_max),
                            words(flavor_max)),
                "lower hw_cpu_max_* of the image or use another flavor");
  }
  const CpuTopology most = limits(options);
  if (exceeds(options.image_topology, most)) {
    return fail(
        Code::kInvalid,
        fmt::format("image wants CPU topology (sockets:cores:threads) {}, allowed is up to {}", words(options.image_topology), words(most)),
        "lower hw_cpu_* of the image or use another flavor");
  }
  CpuTopology want = options.image_topology;
  if (!any(want) && !exceeds(options.flavor_topology, most)) want = options.flavor_topology;
  CpuTopology best;
  for (std::int64_t sockets = 1; sockets <= std::min(vcpus, most.sockets); ++sockets) {
    if (vcpus % sockets != 0) continue;
    for (std::int64_t cores = 1; cores <= std::min(vcpus / sockets, most.cores); ++cores) {
      const CpuTopology candidate{sockets, cores, vcpus / sockets / cores};
      if (candidate.sockets * candidate.cores * candidate.threads != vcpus || candidate.threads > most.threads) continue;
      if (!any(best) || better(candidate, best, want)) best = candidate;
    }
  }
  if (!any(best)) {
    return fail(Code::kInvalid, fmt::format("{} vCPUs cannot be made of at most {} sockets:cores:threads", vcpus, words(most)),
                "raise hw:cpu_max_* of the flavor or use another number of vCPUs");
  }
  return best;
}

Result<void> add_cpu(Node domain, const GuestSpec& spec, const GuestOptions& options) {
  CA_TRY(const CpuTopology topology, choose_topology(spec.instance.flavor.vcpus, options));
  const std::string mode = cpu_mode(spec);
  Node cpu = add(domain, "cpu");
  if (!mode.empty()) set(cpu, "mode", mode);
  if (mode == "custom") {
    if (spec.cpu_models.empty()) {
      return fail(Code::kInvalid, "cpu_mode is custom and no CPU model is named", "set [libvirt] cpu_models");
    }
    set(cpu, "match", "exact");
    add_text(cpu, "model", spec.cpu_models.front());
  }
  Node parts = add(cpu, "topology");
  set(parts, "sockets", topology.sockets);
  set(parts, "cores", topology.cores);
  set(parts, "threads", topology.threads);
  if (mode.empty()) return {};
  for (std::string flag : spec.cpu_model_extra_flags) {
    const bool off = flag.starts_with('-');
    if (off || flag.starts_with('+')) flag.erase(0, 1);
    std::ranges::transform(flag, flag.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    Node feature = add(cpu, "feature");
    set(feature, "policy", off ? "disable" : "require");
    set(feature, "name", flag);
  }
  return {};
}

void add_cputune(Node domain, const GuestOptions& options) {
  Node tune;
  for (const char* name : {"shares", "period", "quota"}) {
    const auto given = options.quota.find(std::string("cpu_") + name);
    if (given == options.quota.end()) continue;
    if (!tune) tune = add(domain, "cputune");
    add_text(tune, name, given->second);
  }
}

}  // namespace ca::domainxml
