#pragma once
// Keeps what is recorded and what really runs the same: by event, and by one bulk pass after every (re)connection to libvirt. What to
// do is decided in decide.h (pure); this loop looks, and applies. An instance with an open operation is left to it.

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "agent/journal/journal.h"
#include "agent/reconcile/decide.h"
#include "agent/runtime/worker_pool.h"
#include "agent/store/store.h"
#include "drivers/hypervisor.h"

namespace ca {

class Reconciler {
 public:
  // Publishes an order ("stop_instance", "start_instance") for an instance through the bus.
  using Publish = std::function<Result<void>(Tx&, const std::string& method, const Uuid& uuid)>;

  Reconciler(Store& store, Journal& journal, Hypervisor& hypervisor, WorkerPool& workers, Publish publish,
             bool resume_guests);  // [DEFAULT] resume_guests_state_on_host_boot

  // Each hands its work to a worker and returns at once; from any thread.
  void look_at(const Uuid& uuid);
  void look_at_all();

 private:
  void look_now(const Uuid& uuid);
  void look_at_all_now();
  struct Change {
    Uuid uuid;
    Decision decision;
  };
  void consider(const Instance& record, const Seen& seen, const Moment& moment, std::vector<Change>& changes) const;
  void settle(const std::vector<Change>& changes);
  Result<void> apply(Tx& tx, const Uuid& uuid, const Decision& decision);

  Store& store_;
  Journal& journal_;
  Hypervisor& hypervisor_;
  WorkerPool& workers_;
  Publish publish_;
  const bool resume_guests_;
  std::atomic<bool> passed_ = false;  // the first bulk pass began
};

}  // namespace ca
