#pragma once
// What the verbs of an instance's life share beyond steps.h.

#include "agent/verbs/steps.h"

namespace ca {

// A verb whose message names the instance and no more: accepted when `order` is allowed, with `task` shown; when it fails the instance
// keeps its vm_state, with the fault. Steps and on_success are the caller's.
[[nodiscard]] Verb plain_verb(Services& s, std::string method, std::string action, Order order, TaskState task);

// For on_success.
Result<void> now_running(Tx& tx, Instance& record);

// Running, off, or gone (kNoState) - as libvirt answers now.
[[nodiscard]] Result<PowerState> seen_state(Services& s, const Uuid& uuid);
[[nodiscard]] bool is_off(PowerState state);

// What the instance reserves with its flavor as recorded.
[[nodiscard]] Claim claim_of(const Instance& instance);

// kInvalid in nova's words when `flavor` is none the instance can be resized to.
[[nodiscard]] Result<void> check_resize(const Instance& instance, const Flavor& flavor);
// What a resize kept of the instance's disks is dropped; nothing kept is success.
[[nodiscard]] Step forget_kept_step(Services& s);
// The resize counts: what it still reserved for going back is released. Nothing to confirm is success.
void settle_confirmed(Services& s, Tx& tx, Instance& record);
// When an instance came to VERIFY_RESIZE; 0: it is not there.
[[nodiscard]] std::int64_t resized_us(const Instance& instance);

}  // namespace ca
