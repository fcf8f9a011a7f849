#include "drivers/disk/rbd/removal.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <thread>
#include <vector>

#include "agent/core/ids.h"
#include "drivers/disk/rbd/holders.h"
#include "drivers/disk/rbd/snapshots.h"

namespace ca::rbd {
namespace {

constexpr std::size_t kMostTrash = 256;  // looked at in one go
constexpr int kMostSnapshots = 64;

// What an image order that was cut off left, and a resize that nobody confirmed: nothing hangs on it once it can be unprotected.
Result<void> remove_own_snapshots(const PoolRef& pool, const std::string& name) {
  CA_TRY(const Image image, Image::open(pool, name, Image::Mode::kWrite));
  std::array<rbd_snap_info_t, kMostSnapshots> list{};
  int most = kMostSnapshots;
  const int count = rbd_snap_list(image.get(), list.data(), &most);
  CA_TRY_VOID(check_rbd(count, "the snapshots of an RBD image can't be read"));
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.emplace_back(list.at(static_cast<std::size_t>(i)).name);
  rbd_snap_list_end(list.data());
  for (const std::string& snapshot : names) {
    if (snapshot.starts_with(kMarkPrefix) || snapshot == kResizeSnapshot) CA_TRY_VOID(remove_snapshot(image, snapshot));
  }
  return {};
}

}  // namespace

bool is_disk_name(const std::string& name) {
  constexpr std::size_t kUuid = 36;
  return is_uuid(name.substr(0, kUuid)) && (name.substr(kUuid) == "_disk" || name.compare(kUuid, 6, "_disk.") == 0);
}

Result<void> remove_snapshot(const Image& image, const std::string& snapshot) {
  const int status = rbd_snap_unprotect(image.get(), snapshot.c_str());
  if (status == -ENOENT) return {};
  if (status != -EINVAL) CA_TRY_VOID(check_rbd(status, "cannot unprotect the snapshot " + snapshot));  // -EINVAL: it is not protected
  const int removed = rbd_snap_remove(image.get(), snapshot.c_str());
  return removed == -ENOENT ? Result<void>{} : check_rbd(removed, "cannot remove the snapshot " + snapshot);
}

Result<void> remove_image(const PoolRef& pool, const std::string& name) {
  const int status = rbd_remove(pool->io(), name.c_str());
  return status == -ENOENT ? Result<void>{} : check_rbd(status, fmt::format("cannot remove RBD image {}/{}", pool->name(), name));
}

Result<void> remove_or_trash(const PoolRef& pool, const std::string& name, const Patience& patience) {
  Result<void> removed = remove_image(pool, name);
  bool looked_at_snapshots = false;
  for (int i = 0; i < patience.retries && !removed && removed.error().code == Code::kConflict; ++i) {
    if (!looked_at_snapshots) {
      looked_at_snapshots = true;
      [[maybe_unused]] const auto cleared = remove_own_snapshots(pool, name);  // the remove below says it when one stays
    } else {
      std::this_thread::sleep_for(patience.interval);
    }
    removed = remove_image(pool, name);
  }
  if (removed || removed.error().code != Code::kConflict) return removed;
  const int status = rbd_trash_move(pool->io(), name.c_str(), 0);
  if (status >= 0 || status == -ENOENT) return {};
  const auto holders = holders_of(pool, name);
  return wrap(
      std::move(removed).error(),
      fmt::format("RBD image {}/{} is in use{} and can't be moved to the trash: {}", pool->name(), name,
                  holders && !holders->empty() ? " by " + to_text(*holders) : "", fail_rbd(status, "rbd_trash_move").value().message),
      "end what has it open, then delete again");
}

void empty_trash(const PoolRef& pool) {
  std::array<rbd_trash_image_info_t, kMostTrash> list{};
  std::size_t count = list.size();
  if (rbd_trash_list(pool->io(), list.data(), &count) < 0) return;
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < count; ++i) {
    if (is_disk_name(list.at(i).name)) ids.emplace_back(list.at(i).id);
  }
  rbd_trash_list_cleanup(list.data(), count);
  // One that is still in use stays for the next time.
  for (const std::string& id : ids) rbd_trash_remove(pool->io(), id.c_str(), false);
}

}  // namespace ca::rbd
