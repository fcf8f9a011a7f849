// Two processes make, grow and delete disks on one directory and collect bases that nothing uses, all at random.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <cstdlib>
#include <random>

#include "agent/core/ids.h"
#include "drivers/disk/qcow2/qcow2_backend.h"
#include "drivers/disk/raw/raw_backend.h"
#include "drivers/files/durable_file.h"
#include "drivers/files/instance_dir.h"
#include "drivers/image/cache/backing_users.h"
#include "drivers/image/cache/image_cache.h"
#include "drivers/image/sources/file_image_source.h"
#include "drivers/process/posix/posix_process_runner.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace testing;

constexpr int kOperations = 10'000;
constexpr int kProcesses = 2;
constexpr std::size_t kMostInstances = 14;
constexpr std::int64_t kMiB = 1 << 20;
constexpr const char* kQemuImg = "/usr/bin/qemu-img";

struct Counts {
  int creates = 0, deletes = 0, resizes = 0, collections = 0, removed = 0;
};

struct Disk {
  Uuid uuid;
  std::string path, base;
  bool overlay = false;
  std::int64_t size = 0;
};

// One process at work. Any broken promise throws: its text is what the test fails with.
class Player {
 public:
  Player(const std::string& top, std::vector<ImageMeta> images, unsigned seed)
      : instances_(top + "/instances"),
        images_(std::move(images)),
        random_(seed),
        source_(make_file_image_source(top + "/images")),
        cache_(make_image_cache({.base_dir = instances_ + "/_base", .locks_dir = instances_ + "/locks", .qemu_img = kQemuImg}, *source_,
                                *runner_)),
        qcow2_(make_qcow2_backend(instances_, *runner_, kQemuImg)),
        raw_(make_raw_backend(instances_)) {}

  void play(int operations) {
    for (int i = 0; i < operations; ++i) {
      const int dice = upto(100);
      if (dice < 45 && disks_.size() < kMostInstances) {
        create();
      } else if (dice < 75) {
        remove();
      } else if (dice < 95) {
        resize();
      } else {
        collect();
      }
      if (!disks_.empty()) check(disks_[static_cast<std::size_t>(upto(static_cast<int>(disks_.size())))]);
    }
  }

  void remove_all() {
    while (!disks_.empty()) remove();
  }

  void collect() {
    ++counts.collections;
    good(cache_->remove_unfinished());
    const auto bases = good(cache_->list());
    for (const CachedBase& base : bases) {
      const auto in_use = [&]() -> Result<bool> {
        CA_TRY(const BaseUsers users, backing_users(instances_, instances_ + "/_base"));
        return users.contains(base.name);
      };
      if (good(in_use())) continue;
      counts.removed += good(cache_->remove_unused(base.name, std::chrono::seconds(0), in_use)) ? 1 : 0;
    }
    for (const Disk& disk : disks_) check(disk);
  }

  Counts counts;

 private:
  template <typename T>
  static T good(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().chain());
    if constexpr (!std::is_void_v<T>) return *std::move(result);
  }
  int upto(int end) { return std::uniform_int_distribution<int>(0, end - 1)(random_); }

  void create() {
    ++counts.creates;
    Disk disk;
    disk.uuid = fmt::format("{:08x}-{:04x}-4000-8000-{:012x}", upto(INT32_MAX), upto(65536), ++made_);
    disk.overlay = upto(10) < 7;
    DiskBackend& backend = disk.overlay ? *qcow2_ : *raw_;
    good(make_directories(instances_ + "/" + disk.uuid));
    disk.path = backend.address(disk.uuid, "disk");
    // Now and then swap, whose base is made by a program; else an image.
    const HeldBase held = good(upto(40) == 0 ? cache_->hold_blank({.size_bytes = kMiB, .format = "swap"})
                                             : cache_->hold(images_[static_cast<std::size_t>(upto(static_cast<int>(images_.size())))]));
    disk.base = held.base.path;
    disk.size = held.base.virtual_size_bytes;
    good(backend.create({.path = disk.path,
                         .base_path = held.base.path,
                         .base_format = held.base.format,
                         .base_virtual_bytes = held.base.virtual_size_bytes,
                         .size_bytes = disk.size}));
    disks_.push_back(disk);
  }

  void remove() {
    if (disks_.empty()) return;
    ++counts.deletes;
    std::swap(disks_[static_cast<std::size_t>(upto(static_cast<int>(disks_.size())))], disks_.back());
    good(remove_tree(instances_ + "/" + disks_.back().uuid));
    disks_.pop_back();
  }

  // Overlays grow by qemu-img, so only a few of them do.
  void resize() {
    if (disks_.empty()) return;
    ++counts.resizes;
    Disk& disk = disks_[static_cast<std::size_t>(upto(static_cast<int>(disks_.size())))];
    if (!disk.overlay || upto(25) == 0) disk.size += kMiB;
    good((disk.overlay ? qcow2_ : raw_)->resize(disk.path, disk.size));
  }

  void check(const Disk& disk) {
    struct stat info {};
    if (disk.overlay && ::stat(disk.base.c_str(), &info) != 0)
      throw std::runtime_error(disk.base + " is gone, and " + disk.path + " hangs on it");
    if (good((disk.overlay ? qcow2_ : raw_)->size(disk.path)) != disk.size) throw std::runtime_error(disk.path + " has not its size");
  }

  std::string instances_;
  std::vector<ImageMeta> images_;
  std::mt19937 random_;
  std::int64_t made_ = 0;
  std::vector<Disk> disks_;
  std::unique_ptr<ProcessRunner> runner_ = make_posix_process_runner();
  std::unique_ptr<ImageSource> source_;
  std::unique_ptr<ImageCache> cache_;
  std::unique_ptr<DiskBackend> qcow2_, raw_;
};

// 0, or 1 with the reason on standard error.
int run_player(const std::string& top, const std::vector<ImageMeta>& images, unsigned seed) {
  try {
    Player player(top, images, seed);
    player.play(kOperations / kProcesses);
    player.remove_all();
    const Counts& n = player.counts;
    fmt::print("seed {}: {} creates, {} deletes, {} resizes, {} collections that removed {} bases\n", seed, n.creates, n.deletes, n.resizes,
               n.collections, n.removed);
    std::fflush(stdout);
    return n.creates > 1000 && n.deletes > 1000 && n.resizes > 500 && n.collections > 150 && n.removed > 100 ? 0 : 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "seed {}: {}\n", seed, error.what());
    return 1;
  }
}

TEST(ImageCacheAtRandom, TenThousandOperationsOfTwoProcessesRemoveNoBaseInUseAndLeakNothing) {
  // In memory: ten thousand waits for a disk would say nothing about the cache.
  std::string top = "/dev/shm/ca-random-XXXXXX";
  ASSERT_NE(::mkdtemp(top.data()), nullptr);
  std::filesystem::create_directories(top + "/images");
  std::filesystem::create_directories(top + "/instances/_base");
  std::vector<ImageMeta> images;
  for (int i = 0; i < 40; ++i) {
    ImageMeta image{.id = fmt::format("00000000-0000-4000-8000-{:012x}", i), .disk_format = DiskFormat::kRaw, .size_bytes = 8192 * (i + 1)};
    write_text(top + "/images/" + image.id, std::string(static_cast<std::size_t>(image.size_bytes), static_cast<char>('A' + i)));
    images.push_back(image);
  }
  const char* given = std::getenv("FAULTS_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : 20230817U;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(run_player(top, images, seed + static_cast<unsigned>(i)));
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "2: too few operations of a kind; 1: said above";
  }
  Player(top, images, 0).collect();
  EXPECT_EQ(names_in(top + "/instances/_base"), std::vector<std::string>{});
  EXPECT_EQ(names_in(top + "/instances"), (std::vector<std::string>{"_base", "locks"}));
  std::filesystem::remove_all(top);
}

}  // namespace
}  // namespace ca
