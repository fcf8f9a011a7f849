#include "agent/domainxml/converters.h"

namespace ca::domainxml {

void add_rng(Node devices, const GuestSpec& spec, const GuestOptions& options) {
  if (!options.rng_allowed || spec.rng_dev_path.empty()) return;
  Node rng = add(devices, "rng");
  set(rng, "model", "virtio");
  if (options.rng_rate_bytes > 0 && options.rng_rate_period > 0) {
    Node rate = add(rng, "rate");
    set(rate, "period", options.rng_rate_period);
    set(rate, "bytes", options.rng_rate_bytes);
  }
  set(add_text(rng, "backend", spec.rng_dev_path), "model", "random");
}

}  // namespace ca::domainxml
