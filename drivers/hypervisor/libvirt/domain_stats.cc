#include "drivers/hypervisor/libvirt/domain_stats.h"

#include <fmt/format.h>

#include "drivers/hypervisor/libvirt/domain_events.h"

namespace ca::lv {
namespace {

// More than any domain has; the count comes from outside.
constexpr unsigned kMostDevices = 4096;

class Params {
 public:
  Params(virTypedParameterPtr params, int count) : params_(params), count_(count) {}

  [[nodiscard]] std::int64_t number(const std::string& name) const {
    const virTypedParameterPtr found = virTypedParamsGet(params_, count_, name.c_str());
    if (found == nullptr) return -1;
    switch (found->type) {
      case VIR_TYPED_PARAM_INT: return found->value.i;
      case VIR_TYPED_PARAM_UINT: return found->value.ui;
      case VIR_TYPED_PARAM_LLONG: return found->value.l;
      case VIR_TYPED_PARAM_ULLONG: return static_cast<std::int64_t>(found->value.ul);
      default: return -1;
    }
  }
  [[nodiscard]] std::string text(const std::string& name) const {
    const char* value = nullptr;
    return virTypedParamsGetString(params_, count_, name.c_str(), &value) == 1 && value != nullptr ? value : "";
  }
  [[nodiscard]] unsigned devices(const std::string& name) const {
    const std::int64_t value = number(name);
    return value < 0 ? 0 : static_cast<unsigned>(std::min<std::int64_t>(value, kMostDevices));
  }

 private:
  virTypedParameterPtr params_;
  int count_;
};

}  // namespace

DomainStats read_stats(virTypedParameterPtr params, int count) {
  const Params p(params, count);
  DomainStats stats;
  stats.state = power_state_of(static_cast<int>(p.number("state.state")));
  for (unsigned i = 0; i < p.devices("vcpu.current"); ++i) stats.cpus.push_back({i, p.number(fmt::format("vcpu.{}.time", i))});
  for (unsigned i = 0; i < p.devices("block.count"); ++i) {
    const auto of = [&](const char* what) { return p.number(fmt::format("block.{}.{}", i, what)); };
    stats.disks.push_back({p.text(fmt::format("block.{}.name", i)), of("rd.bytes"), of("rd.reqs"), of("wr.bytes"), of("wr.reqs")});
  }
  for (unsigned i = 0; i < p.devices("net.count"); ++i) {
    const auto of = [&](const char* what) { return p.number(fmt::format("net.{}.{}", i, what)); };
    stats.nics.push_back({p.text(fmt::format("net.{}.name", i)), of("rx.bytes"), of("rx.pkts"), of("rx.errs"), of("rx.drop"),
                          of("tx.bytes"), of("tx.pkts"), of("tx.errs"), of("tx.drop")});
  }
  stats.memory_maximum_kib = p.number("balloon.maximum");
  const std::int64_t available = p.number("balloon.available");
  const std::int64_t unused = p.number("balloon.unused");
  if (available >= 0 && unused >= 0) stats.memory_used_kib = available - unused;
  return stats;
}

}  // namespace ca::lv
