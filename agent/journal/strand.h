#pragma once
// The queue of operations of one instance.

#include <deque>
#include <memory>

#include "agent/journal/journal.h"

namespace ca {

struct Journal::Strand {
  std::deque<std::shared_ptr<Run>> queue;  // front: the one that runs or is parked
};

}  // namespace ca
