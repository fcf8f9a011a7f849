#include "drivers/disk/rbd/snapshots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <vector>

#include "drivers/disk/rbd/content.h"
#include "drivers/disk/rbd/removal.h"
#include "drivers/files/durable_file.h"

namespace ca::rbd {
namespace {

constexpr std::int64_t kChunk = 4 << 20;  // an object of RBD

struct Extent {
  std::int64_t offset = 0;
  std::int64_t length = 0;
};

int on_extent(std::uint64_t offset, std::size_t length, int exists, void* arg) {
  if (exists != 0)
    static_cast<std::vector<Extent>*>(arg)->push_back({static_cast<std::int64_t>(offset), static_cast<std::int64_t>(length)});
  return 0;
}

Result<void> copy_extent(const Image& from, const Extent& extent, DurableFile& to) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(std::min(kChunk, extent.length)));
  for (std::int64_t done = 0; done < extent.length;) {
    const auto most = static_cast<std::size_t>(std::min(kChunk, extent.length - done));
    const ssize_t count =
        rbd_read(from.get(), static_cast<std::uint64_t>(extent.offset + done), most, reinterpret_cast<char*>(bytes.data()));
    if (count < 0) return fail_rbd(static_cast<int>(count), fmt::format("cannot read at {}", extent.offset + done));
    if (count == 0) return fail(Code::kIo, fmt::format("the disk ends at byte {}", extent.offset + done));
    CA_TRY_VOID(to.write_at(extent.offset + done, std::span(bytes.data(), static_cast<std::size_t>(count))));
    done += count;
  }
  return {};
}

}  // namespace

Result<void> take_snapshot(const Image& disk, const std::string& snapshot) {
  CA_TRY_VOID(remove_snapshot(disk, snapshot));
  return check_rbd(rbd_snap_create(disk.get(), snapshot.c_str()), "cannot take the snapshot " + snapshot);
}

Result<bool> has_snapshot(const Image& disk, const std::string& snapshot) {
  std::uint64_t id = 0;
  const int status = rbd_snap_get_id(disk.get(), snapshot.c_str(), &id);
  if (status == -ENOENT) return false;
  CA_TRY_VOID(check_rbd(status, "cannot look for the snapshot " + snapshot));
  return true;
}

Result<void> roll_back(const Image& disk, const std::string& snapshot) {
  return check_rbd(rbd_snap_rollback(disk.get(), snapshot.c_str()), "cannot go back to the snapshot " + snapshot);
}

Result<void> export_snapshot(const PoolRef& pool, const std::string& disk, const std::string& snapshot, const std::string& file) {
  CA_TRY(const Image from, Image::open(pool, disk, Image::Mode::kRead, snapshot.c_str()));
  CA_TRY(const std::int64_t bytes, size_of(from));
  std::vector<Extent> extents;
  CA_TRY_VOID(check_rbd(rbd_diff_iterate2(from.get(), nullptr, 0, static_cast<std::uint64_t>(bytes), 1, 0, on_extent, &extents),
                        "cannot read what is allocated of " + disk));
  CA_TRY(DurableFile to, DurableFile::create(file, 0600));
  CA_TRY_VOID(to.set_size(bytes));
  for (const Extent& extent : extents) CA_TRY_VOID(copy_extent(from, extent, to));
  return to.commit();
}

}  // namespace ca::rbd
