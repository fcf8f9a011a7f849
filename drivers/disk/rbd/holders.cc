#include "drivers/disk/rbd/holders.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

#include "drivers/disk/rbd/names.h"

namespace ca::rbd {
namespace {

constexpr std::size_t kMostHolders = 64;
constexpr std::chrono::seconds kOwnGone{45};  // a watch ends 30 s after its client
constexpr std::chrono::milliseconds kLookAgain{500};

Result<std::vector<Holder>> watchers_of(const Pool& pool, rbd_image_t image) {
  std::array<rbd_image_watcher_t, kMostHolders> list{};
  std::size_t count = list.size();
  CA_TRY_VOID(check_rbd(rbd_watchers_list(image, list.data(), &count), "the watchers of an RBD image can't be read"));
  const auto own = static_cast<std::int64_t>(rados_get_instance_id(pool.cluster().handle()));
  std::vector<Holder> found;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string address = list.at(i).addr;
    if (list.at(i).id != own) found.push_back({address, ip_of(address), fmt::format("client.{}", list.at(i).id), {}, {}});
  }
  rbd_watchers_list_cleanup(list.data(), count);
  return found;
}

struct Locker {
  std::string client, cookie, address;
};

// Texts that end with a zero each.
std::vector<std::string> texts_of(const std::string& buffer, std::size_t count) {
  std::vector<std::string> found;
  std::size_t at = 0;
  while (found.size() < count && at < buffer.size()) {
    found.emplace_back(buffer.c_str() + at);
    at += found.back().size() + 1;
  }
  found.resize(count);
  return found;
}

// As they are written at the image; asking librbd for the owner needs an image that is open for writing.
Result<std::vector<Locker>> lockers_of(rbd_image_t image) {
  constexpr std::size_t kText = 8192;
  std::string tag(kText, '\0'), clients(kText, '\0'), cookies(kText, '\0'), addresses(kText, '\0');
  std::size_t tag_size = kText, clients_size = kText, cookies_size = kText, addresses_size = kText;
  int exclusive = 0;
  const ssize_t count = rbd_list_lockers(image, &exclusive, tag.data(), &tag_size, clients.data(), &clients_size, cookies.data(),
                                         &cookies_size, addresses.data(), &addresses_size);
  if (count == -ENOENT) return std::vector<Locker>{};
  CA_TRY_VOID(check_rbd(static_cast<int>(count), "the locks of an RBD image can't be read"));
  const auto number = static_cast<std::size_t>(count);
  const auto names = texts_of(clients, number), keys = texts_of(cookies, number), places = texts_of(addresses, number);
  std::vector<Locker> found;
  for (std::size_t k = 0; k < number; ++k) found.push_back({names[k], keys[k], places[k]});
  return found;
}

// This client's own addresses.
std::string own_address(const Pool& pool) {
  char* text = nullptr;
  if (rados_getaddrs(pool.cluster().handle(), &text) < 0 || text == nullptr) return {};
  std::string address(text);
  rados_buffer_free(text);
  return address;
}

// The nonce tells clients of one host apart: "10.0.0.5:0/3123" and "v1:10.0.0.5:0/3123" are the same client.
std::string nonce_of(const std::string& address) {
  const auto slash = address.rfind('/');
  const auto end = address.find_first_not_of("0123456789", slash + 1);
  return slash == std::string::npos ? "" : address.substr(slash + 1, end == std::string::npos ? end : end - slash - 1);
}

bool same_client(const std::string& a, const std::string& b) { return ip_of(a) == ip_of(b) && nonce_of(a) == nonce_of(b); }

Result<std::vector<Holder>> holders_of_open(const Pool& pool, rbd_image_t image) {
  CA_TRY(std::vector<Holder> found, watchers_of(pool, image));
  CA_TRY(const auto lockers, lockers_of(image));
  const std::string own = own_address(pool);
  for (const Locker& locker : lockers) {
    if (same_client(locker.address, own)) continue;
    auto known = std::ranges::find_if(found, [&](const Holder& holder) { return same_client(holder.address, locker.address); });
    // A host that was cut off is no watcher any more, but its lock is still there.
    if (known == found.end()) known = found.insert(found.end(), {locker.address, ip_of(locker.address), "", {}, {}});
    known->lock_client = locker.client;
    known->lock_cookie = locker.cookie;
  }
  return found;
}

}  // namespace

std::string to_text(const std::vector<Holder>& holders) {
  std::string text;
  for (const Holder& holder : holders) {
    text += fmt::format("{}{}{}{}", text.empty() ? "" : ", ", holder.address, holder.client.empty() ? "" : " (" + holder.client + ")",
                        !holder.lock_client.empty() ? " with the exclusive lock" : "");
  }
  return text;
}

Result<std::vector<Holder>> holders_of(const PoolRef& pool, const std::string& image) {
  auto open = Image::open(pool, image, Image::Mode::kRead);
  if (!open && open.error().code == Code::kNotFound) return std::vector<Holder>{};
  if (!open) return tl::unexpected<Error>(std::move(open).error());
  return holders_of_open(*pool, open->get());
}

Result<void> check_unused(const PoolRef& pool, const std::string& image) {
  const std::string own_ip = ip_of(own_address(*pool));
  const auto until = std::chrono::steady_clock::now() + kOwnGone;
  while (true) {
    CA_TRY(std::vector<Holder> holders, holders_of(pool, image));
    // A lock without a watcher is what a dead client of this host left. QEMU's librbd breaks it, with a blocklist entry.
    std::erase_if(holders, [&](const Holder& holder) { return holder.ip == own_ip && holder.client.empty(); });
    if (holders.empty()) return {};
    const bool all_own = std::ranges::all_of(holders, [&](const Holder& holder) { return !own_ip.empty() && holder.ip == own_ip; });
    if (!all_own || std::chrono::steady_clock::now() >= until) {
      return fail(Code::kConflict, fmt::format("the disk {}/{} is in use by {}", pool->name(), image, to_text(holders)),
                  "end the guest on the host with that address; if that host is dead, evacuate the instance: that fences it");
    }
    std::this_thread::sleep_for(kLookAgain);
  }
}

Result<void> fence(const PoolRef& pool, const std::string& image, const std::string& holder) {
  CA_TRY(const Image open, Image::open(pool, image, Image::Mode::kWrite));
  CA_TRY(const auto holders, holders_of_open(*pool, open.get()));
  for (const Holder& one : holders) {
    if (!holder.empty() && one.ip != holder && !same_client(one.address, holder)) {
      return fail(Code::kConflict, fmt::format("the disk {}/{} is in use by {}, not by {}", pool->name(), image, to_text(holders), holder),
                  "find out what runs there before anything is fenced");
    }
  }
  const auto keep_out = [&](std::string address) {
    return check_rbd(rados_blocklist_add(pool->cluster().handle(), address.data(), kBlocklistSeconds),
                     fmt::format("{} can't be put on Ceph's blocklist", address));
  };
  for (const Holder& one : holders) CA_TRY_VOID(keep_out(one.address));
  // OSDs take no writes of the client from the map on that has the entry; only then may the next owner write.
  if (const int status = rados_wait_for_latest_osdmap(pool->cluster().handle()); status < 0)
    return fail_rbd(status, "the OSD map can't be read");
  for (const Holder& one : holders) {
    if (one.lock_client.empty()) continue;
    const int status = rbd_break_lock(open.get(), one.lock_client.c_str(), one.lock_cookie.c_str());
    if (status < 0 && status != -ENOENT)
      return fail_rbd(status, fmt::format("the lock of {} on {}/{} can't be broken", one.address, pool->name(), image));
    // That made an entry too, for an hour only: librbd 16 can't be given another time, the monitors refuse how it writes it.
    CA_TRY_VOID(keep_out(one.address));
  }
  return {};
}

}  // namespace ca::rbd
