#pragma once
// Carries out what the status of a volume or snapshot orders: creating, deleting, extending (of a volume that nobody has; the others
// are extended by the verb extend_volume).
//
// The status is the journal of this work: it is written before the work begins and tells after a crash what was ordered. Each piece is
// safe to run twice, a file is complete or not there (VolumeBackend), and while a volume has such a status it takes no other order. So
// recover() at the start does all there is to do.

#include <memory>
#include <mutex>
#include <set>

#include "agent/runtime/timer_queue.h"
#include "agent/runtime/worker_pool.h"
#include "agent/verbs/services.h"

namespace ca {

class VolumeWork {
 public:
  VolumeWork(Services& services, WorkerPool& workers, TimerQueue& timers) : s_(services), workers_(workers), timers_(timers) {}

  // `id` of a volume or snapshot; in the background, once at a time.
  void work_on(const Uuid& id);
  // At the start: gives back what instances hold that are gone, and takes up all unfinished work.
  Result<void> recover();

 private:
  void run(const Uuid& id, int tries);
  void again_later(const Uuid& id, int tries);
  Result<void> carry_out(const Uuid& id);
  Result<void> carry_out(const Volume& volume);
  Result<void> carry_out(const VolumeSnapshot& snapshot);
  Result<void> create(const Volume& volume);
  Result<void> snapshot_content(const VolumeSnapshot& snapshot);
  Result<void> copy_from_guest(const Volume& volume, const VolumeSnapshot& snapshot);
  Result<void> give_up(const Uuid& id, const Error& error);
  Result<VolumeBackend*> backend(const Volume& volume);

  Services& s_;
  WorkerPool& workers_;
  TimerQueue& timers_;
  std::mutex mutex_;
  std::set<Uuid> busy_;
};

// What a volume is made of (Volume::image_id, snapshot_id, source_volume_id) and its size, as its back end needs it. Fetches the image.
[[nodiscard]] Result<VolumeSpec> volume_spec(Services& s, const Volume& volume);

}  // namespace ca
