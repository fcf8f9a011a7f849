// Blank bases, checksums, and what refers to a base.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "drivers/disk/qcow2/qcow2_backend.h"
#include "drivers/disk/raw/raw_backend.h"
#include "drivers/image/cache/backing_users.h"
#include "drivers/image/cache/base_info.h"
#include "drivers/image/cache/image_cache.h"
#include "drivers/image/sources/file_image_source.h"
#include "drivers/process/posix/posix_process_runner.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace std::chrono_literals;
using namespace testing;

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;
constexpr const char* kId = "8f056fce-b04e-4956-99e0-d2f8b9ae909a";
constexpr const char* kSha1 = "762e9db898b942ab540923dcacb90035a91ae312";  // printf of kId | sha1sum
const auto kUnused = []() -> Result<bool> { return false; };

class Upkeep : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"images", "instances", "instances/_base", "instances/locks"}) std::filesystem::create_directory(dir_ / name);
    options_ = {.base_dir = instances_ + "/_base", .locks_dir = instances_ + "/locks"};
    write_text(dir_ / "images/" + kId, content_);
  }

  std::unique_ptr<ImageCache> cache() { return make_image_cache(options_, *source_, *runner_); }
  [[nodiscard]] std::string base(const std::string& name) const { return options_.base_dir + "/" + name; }
  static void damage(const std::string& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file << "rot";
  }

  // Runs on a file system of 1 MiB that only `run` sees; answers why it could not.
  std::string on_small_file_system(const std::string& at, const std::function<void()>& run) {
    std::string skipped;
    std::thread worker([&] {
      if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=1m") != 0) {
        skipped = "mounting a small tmpfs needs root";
        return;
      }
      run();
      ::umount2(at.c_str(), MNT_DETACH);
    });
    worker.join();
    return skipped;
  }

  const ScratchDir dir_;
  const std::string instances_ = dir_ / "instances";
  const std::string content_ = std::string(300'000, 'a') + std::string(2 << 20, '\0') + std::string(1000, 'z');
  const ImageMeta image_{.id = kId, .disk_format = DiskFormat::kRaw};
  ImageCacheOptions options_;
  std::unique_ptr<ImageSource> source_ = make_file_image_source(dir_ / "images");
  std::unique_ptr<ProcessRunner> runner_ = make_posix_process_runner();
};

TEST_F(Upkeep, BlankBasesAreNamedAsNovaNamesThem) {
  EXPECT_EQ(blank_base_name({.size_bytes = kGiB, .format = "vfat"}), "ephemeral_1_0706d66");  // seen on a host of nova 26.2
  EXPECT_EQ(blank_base_name({.size_bytes = 64 * kMiB, .format = "swap"}), "swap_64");
  EXPECT_EQ(blank_base_name({.size_bytes = kGiB, .format = "../../etc"}), "");
  EXPECT_EQ(blank_base_name({.size_bytes = kGiB + 1, .format = "ext4"}), "");
  EXPECT_EQ(blank_base_name({.size_bytes = 0, .format = "swap"}), "");
}

TEST_F(Upkeep, BlankBaseHasItsFileSystemAndIsMadeOnce) {
  const auto first = cache()->hold_blank({.size_bytes = kGiB, .format = "ext4"});
  ASSERT_TRUE(first) << first.error().chain();
  EXPECT_EQ(std::filesystem::file_size(first->base.path), kGiB);
  std::ifstream file(first->base.path, std::ios::binary);
  std::string magic(2, '\0');
  file.seekg(1080).read(magic.data(), 2);
  EXPECT_EQ(magic, "\x53\xef");  // ext's
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(first->base.path.c_str(), &before), 0);
  ASSERT_TRUE(cache()->hold_blank({.size_bytes = kGiB, .format = "ext4"}));
  ASSERT_EQ(::stat(first->base.path.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(names_in(options_.base_dir), std::vector<std::string>{"ephemeral_1_40d1d2c"});
}

TEST_F(Upkeep, BlankBaseOnAFullDiskIsRefusedWithTheNumbersAndLeavesNothing) {
  std::string failure;
  const std::string skipped = on_small_file_system(options_.base_dir, [&] {
    const auto held = cache()->hold_blank({.size_bytes = 4 * kGiB, .format = "ext4"});
    failure = held ? "it was made" : held.error().chain();
    for (const auto& name : names_in(options_.base_dir)) failure += " left: " + name;
  });
  if (!skipped.empty()) GTEST_SKIP() << skipped;
  EXPECT_NE(failure.find("no space left on the file system at " + options_.base_dir), std::string::npos) << failure;
  EXPECT_EQ(failure.find("left: "), std::string::npos) << failure;
}

TEST_F(Upkeep, PreallocatedDisksOnAFullDiskAreRefusedAndLeaveNothing) {
  const auto held = cache()->hold(image_);
  ASSERT_TRUE(held) << held.error().chain();
  std::filesystem::create_directory(dir_ / "small");
  std::vector<std::string> failures;
  const std::string skipped = on_small_file_system(dir_ / "small", [&] {
    for (const bool flat : {false, true}) {
      const auto backend = flat ? make_raw_backend(dir_ / "small") : make_qcow2_backend(dir_ / "small", *runner_, "/usr/bin/qemu-img");
      const auto made = backend->create({.path = dir_ / "small/disk",
                                         .base_path = held->base.path,
                                         .base_format = held->base.format,
                                         .base_virtual_bytes = held->base.virtual_size_bytes,
                                         .size_bytes = 64 * kMiB,
                                         .preallocate = true});
      failures.push_back(made ? "it was made" : made.error().chain());
      for (const auto& name : names_in(dir_ / "small")) failures.back() += " left: " + name;
    }
  });
  if (!skipped.empty()) GTEST_SKIP() << skipped;
  for (const std::string& failure : failures) {
    EXPECT_NE(failure.find("cannot allocate 67108864 bytes"), std::string::npos) << failure;
    EXPECT_EQ(failure.find("left: "), std::string::npos) << failure;
  }
  EXPECT_EQ(failures.size(), 2U);
}

TEST_F(Upkeep, HoldKeepsABaseAndRemovalWaitsForItsAge) {
  const auto images = cache();
  {
    const auto held = images->hold(image_);
    ASSERT_TRUE(held) << held.error().chain();
    EXPECT_FALSE(cache()->remove_unused(kSha1, 0s, kUnused).value()) << "somebody makes a disk of it";
  }
  EXPECT_FALSE(images->remove_unused(kSha1, 1h, kUnused).value());
  EXPECT_FALSE(images->remove_unused(kSha1, 0s, []() -> Result<bool> { return true; }).value());
  EXPECT_FALSE(images->remove_unused(kSha1, 0s, []() -> Result<bool> { return fail(Code::kIo, "unknown"); }).has_value());
  EXPECT_TRUE(images->remove_unused(kSha1, 0s, kUnused).value());
  EXPECT_EQ(names_in(options_.base_dir), std::vector<std::string>{});
  EXPECT_EQ(images->remove_unused("../locks", 0s, kUnused).error().code, Code::kInvalid);
}

TEST_F(Upkeep, UseSetsTheTimeOfLastUse) {
  ASSERT_TRUE(cache()->hold(image_));
  const timespec old[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 0}, {.tv_sec = 1'000'000'000, .tv_nsec = 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, base(kSha1).c_str(), old, 0), 0);
  EXPECT_EQ(cache()->list().value().at(0).used_us, 1'000'000'000'000'000);
  ASSERT_TRUE(cache()->hold(image_));
  EXPECT_FALSE(cache()->remove_unused(kSha1, 1h, kUnused).value());
}

TEST_F(Upkeep, DamagedBaseIsFoundAndFetchedAgain) {
  const auto images = cache();
  ASSERT_TRUE(images->hold(image_));
  EXPECT_EQ(images->check(kSha1, nullptr, {}).value(), BaseCheck::kRecorded);
  EXPECT_EQ(images->check(kSha1, &image_, {}).value(), BaseCheck::kGood);
  damage(base(kSha1));
  EXPECT_EQ(images->check(kSha1, &image_, {}).value(), BaseCheck::kFetchedAgain);
  EXPECT_EQ(read_text(base(kSha1)), content_);
  EXPECT_EQ(images->list().value().at(0).state, "good");
}

TEST_F(Upkeep, DamagedBaseWithoutItsImageIsUsedNoMore) {
  const auto images = cache();
  ASSERT_TRUE(images->hold(image_));
  ASSERT_TRUE(images->check(kSha1, nullptr, {}));
  damage(base(kSha1));
  std::filesystem::remove(dir_ / "images/" + kId);
  EXPECT_EQ(images->check(kSha1, &image_, {}).value(), BaseCheck::kDamaged);
  EXPECT_EQ(images->list().value().at(0).state, "damaged");
  const auto held = images->hold(image_);
  ASSERT_FALSE(held);
  EXPECT_NE(held.error().chain().find("is damaged"), std::string::npos) << held.error().chain();
  ASSERT_TRUE(images->remove_unused(kSha1, 0s, kUnused).value());
  EXPECT_EQ(names_in(options_.base_dir), std::vector<std::string>{});
}

TEST_F(Upkeep, ChecksumIsOfTheContentNotOfItsHoles) {
  write_text(dir_ / "dense", content_);
  {
    std::ofstream sparse(dir_ / "sparse", std::ios::binary);
    sparse << std::string(300'000, 'a');
    sparse.seekp(300'000 + (2 << 20));
    sparse << std::string(1000, 'z');
  }
  std::vector<std::string> digests;
  for (const char* name : {"dense", "sparse"}) {
    const int fd = ::open((dir_ / name).c_str(), O_RDONLY | O_CLOEXEC);
    const auto digest = base_digest(fd, dir_ / name, static_cast<std::int64_t>(content_.size()), {});
    ::close(fd);
    ASSERT_TRUE(digest) << digest.error().chain();
    digests.push_back(*digest);
  }
  EXPECT_EQ(digests[0], digests[1]);
}

TEST_F(Upkeep, BackingFilesAreReadFromHeadersAndHostileOnesDoNoHarm) {
  const std::string uuid = "00000000-0000-4000-8000-000000000001";
  std::filesystem::create_directories(instances_ + "/" + uuid + "/deeper");
  write_text(base("swap_1"), std::string(kMiB, '\0'));
  const auto backend = make_qcow2_backend(instances_, *runner_, "/usr/bin/qemu-img");
  ASSERT_TRUE(backend->create({.path = instances_ + "/" + uuid + "/deeper/disk",
                               .base_path = base("swap_1"),
                               .base_format = DiskFormat::kRaw,
                               .base_virtual_bytes = kMiB,
                               .size_bytes = kMiB}));
  const auto header = [](std::uint64_t offset, std::uint32_t length, const std::string& name) {
    std::string text("QFI\xfb\0\0\0\3", 8);
    for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(offset >> shift);
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(length >> shift);
    return text + name;
  };
  const std::string top = instances_ + "/" + uuid + "/";
  write_text(top + "huge", header(20, 0xffffffff, "x"));
  write_text(top + "far", header(~0ULL, 5, "x"));
  write_text(top + "short", "QFI\xfb");
  write_text(top + "json", header(20, 60, R"(json:{"file":{"filename":"/x/_base/ephemeral_1_0706d66"}}    )"));
  write_text(top + "escape", header(20, 21, "/x/_base/../../passwd"));
  std::filesystem::create_symlink("/dev/zero", top + "link");
  ASSERT_EQ(::mkfifo((top + "fifo").c_str(), 0600), 0);
  const auto users = backing_users(instances_, options_.base_dir);
  ASSERT_TRUE(users) << users.error().chain();
  EXPECT_EQ(users->at("swap_1"), std::set<std::string>{uuid});
  EXPECT_EQ(users->at("ephemeral_1_0706d66"), std::set<std::string>{uuid});
  EXPECT_EQ(users->count("passwd"), 0U);
}

TEST_F(Upkeep, LeftoversGoAndBasesStay) {
  ASSERT_TRUE(cache()->hold(image_));
  ASSERT_TRUE(cache()->check(kSha1, nullptr, {}));
  for (const char* name : {"swap_1.part", "swap_2.trash", "swap_3.info", "swap_4.info.part"}) write_text(base(name), "left");
  ASSERT_TRUE(cache()->remove_unfinished());
  EXPECT_EQ(names_in(options_.base_dir), (std::vector<std::string>{kSha1, std::string(kSha1) + ".info"}));
}

}  // namespace
}  // namespace ca
