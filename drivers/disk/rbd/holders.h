#pragma once
// Who uses an image: its watchers (a client that has it open) and the owner of its exclusive lock. QEMU does not refuse a second writer on
// one RBD image by itself, so we look before a guest starts.

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/disk/rbd/cluster.h"

namespace ca::rbd {

struct Holder {
  std::string address;  // "10.0.0.5:0/3123", as the blocklist takes it
  std::string ip;
  std::string client;       // "client.4123" of the watcher; empty: only its lock was seen
  std::string lock_client;  // as the exclusive lock names it; empty: it does not own it
  std::string lock_cookie;
};
[[nodiscard]] std::string to_text(const std::vector<Holder>& holders);

// Without our own client. None for an image that is not there.
[[nodiscard]] Result<std::vector<Holder>> holders_of(const PoolRef& pool, const std::string& image);

// Nobody but us has it open. Holders of this host's own address are waited for: when libvirt says that no guest runs, they are what a dead
// process left, and Ceph forgets them within 30 s. kConflict names the others at once.
[[nodiscard]] Result<void> check_unused(const PoolRef& pool, const std::string& image);

// Keeps clients out for good: a blocklist entry for each, then the exclusive lock is broken. `holder` is a client's address or a host's IP
// address; empty: every holder. kConflict when somebody else still has the image open.
[[nodiscard]] Result<void> fence(const PoolRef& pool, const std::string& image, const std::string& holder);

}  // namespace ca::rbd
