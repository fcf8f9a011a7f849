#pragma once
// Who waits for whom. Used by Journal only, under its mutex.

#include <deque>
#include <memory>

#include "agent/journal/journal.h"

namespace ca {

// The queue of operations of one instance.
struct Journal::Strand {
  std::deque<std::shared_ptr<Run>> queue;  // front: the one that runs, is parked or waits at its verb's gate
};

// How many operations of one verb run at the same time.
struct Journal::Gate {
  std::size_t inside = 0;
  std::deque<std::shared_ptr<Run>> waiting;
};

}  // namespace ca
