#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "drivers/image/cache/image_cache.h"
#include "drivers/image/sources/file_image_source.h"
#include "drivers/process/posix/posix_process_runner.h"
#include "drivers/process/scripted/scripted_process_runner.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace std::chrono_literals;
using namespace testing;

constexpr const char* kQemuImg = "/usr/bin/qemu-img";
constexpr const char* kId = "8f056fce-b04e-4956-99e0-d2f8b9ae909a";

std::string sha512(const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha512(), nullptr);
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

// Data, a hole, zeros that were written, data.
std::string disk_content() {
  return std::string(300'000, 'a') + std::string(2 << 20, '\0') + std::string(100'001, 'b') + std::string(511, '\0');
}

class CountingSource final : public ImageSource {
 public:
  explicit CountingSource(std::string dir) : inner_(make_file_image_source(std::move(dir))) {}
  Result<std::string> local_path(const ImageMeta& image) override {
    ++asked;
    return inner_->local_path(image);
  }
  std::atomic<int> asked{0};

 private:
  std::unique_ptr<ImageSource> inner_;
};

class ImageCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(store_);
    options_ = {.base_dir = dir_ / "_base", .locks_dir = dir_ / "locks", .force_raw_images = true, .qemu_img = kQemuImg, .lock_wait = 10s};
  }

  // Puts content into the store and answers its record.
  ImageMeta store(const std::string& content, DiskFormat format = DiskFormat::kRaw) {
    write_text(store_ + "/" + kId, content);
    return {.id = kId,
            .name = "demo",
            .disk_format = format,
            .size_bytes = static_cast<std::int64_t>(content.size()),
            .os_hash_algo = "sha512",
            .os_hash_value = sha512(content)};
  }

  // A qcow2 (or other) image of `content` as qemu-img makes it.
  ImageMeta store_converted(const std::string& content, const std::string& qemu_format, DiskFormat format) {
    write_text(dir_ / "flat", content);
    const auto made = real_runner_->run({.argv = {kQemuImg, "convert", "-f", "raw", "-O", qemu_format, dir_ / "flat", dir_ / "made"}});
    EXPECT_TRUE(made && made->exit_status == 0);
    return store(read_text(dir_ / "made"), format);
  }

  std::unique_ptr<ImageCache> cache(ProcessRunner& runner) { return make_image_cache(options_, source_, runner); }
  [[nodiscard]] std::string base() const { return options_.base_dir + "/" + kSha1; }
  [[nodiscard]] bool part_left() const { return std::filesystem::exists(base() + ".part"); }

  void expect_refused(const ImageMeta& image, Code code, const std::string& words) {
    const auto fetched = cache(scripted_)->fetch(image);
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().code, code) << fetched.error().chain();
    EXPECT_NE(fetched.error().chain().find(words), std::string::npos) << fetched.error().chain();
    EXPECT_FALSE(std::filesystem::exists(base()));
    EXPECT_FALSE(part_left());
  }

  // printf 8f056fce-b04e-4956-99e0-d2f8b9ae909a | sha1sum
  static constexpr const char* kSha1 = "762e9db898b942ab540923dcacb90035a91ae312";

  const ScratchDir dir_;
  const std::string store_ = dir_ / "images";
  ImageCacheOptions options_;
  CountingSource source_{store_};
  ScriptedProcessRunner scripted_;
  std::unique_ptr<ProcessRunner> real_runner_ = make_posix_process_runner();
};

TEST_F(ImageCacheTest, TheBaseIsNamedAsNovaNamesIt) {
  EXPECT_EQ(cache(scripted_)->base_path({.id = kId}), base());
  EXPECT_FALSE(std::filesystem::exists(options_.base_dir));  // nothing was done
}

TEST_F(ImageCacheTest, ARawImageIsCopiedSparselyAndReadableByQemu) {
  const std::string content = disk_content();
  const ImageMeta image = store(content);
  const auto fetched = cache(scripted_)->fetch(image);
  ASSERT_TRUE(fetched) << fetched.error().chain();
  EXPECT_EQ(fetched->path, base());
  EXPECT_EQ(fetched->format, DiskFormat::kRaw);
  EXPECT_EQ(fetched->virtual_size_bytes, static_cast<std::int64_t>(content.size()));
  EXPECT_EQ(read_text(base()), content);
  struct stat info {};
  ASSERT_EQ(::stat(base().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0644U);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);
  EXPECT_EQ(names_in(options_.base_dir), std::vector<std::string>{kSha1});
  EXPECT_EQ(names_in(options_.locks_dir), std::vector<std::string>{std::string("nova-") + kSha1});
  EXPECT_TRUE(scripted_.calls().empty());
}

TEST_F(ImageCacheTest, ACompleteBaseIsNotFetchedAgain) {
  const ImageMeta image = store(disk_content());
  const auto images = cache(scripted_);
  ASSERT_TRUE(images->fetch(image));
  const auto again = images->fetch(image);
  ASSERT_TRUE(again);
  EXPECT_EQ(source_.asked, 1);
  EXPECT_EQ(again->virtual_size_bytes, image.size_bytes);
  std::filesystem::remove(store_ + "/" + kId);
  EXPECT_TRUE(cache(scripted_)->fetch(image));  // another process of the same host
}

TEST_F(ImageCacheTest, AnIsoIsUsedAsItIs) {
  std::string content(40 * 2048, '\0');
  content.replace(32768, 7,
                  "\x01"
                  "CD001\x01");
  content.replace(32768 + 80, 8, std::string("\x28\0\0\0\0\0\0\x28", 8));
  content.replace(32768 + 128, 4, std::string("\0\x08\x08\0", 4));
  const auto fetched = cache(scripted_)->fetch(store(content, DiskFormat::kIso));
  ASSERT_TRUE(fetched) << fetched.error().chain();
  EXPECT_EQ(fetched->format, DiskFormat::kRaw);
  EXPECT_EQ(read_text(base()), content);
}

TEST_F(ImageCacheTest, ImagesOfOtherFormatsAreConvertedByQemuImg) {
  if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  const std::string content = disk_content() + std::string(512 - disk_content().size() % 512, '\0');
  const std::vector<std::pair<std::string, DiskFormat>> formats{
      {"qcow2", DiskFormat::kQcow2}, {"vmdk", DiskFormat::kVmdk}, {"vdi", DiskFormat::kVdi}, {"vhdx", DiskFormat::kVhdx}};
  for (const auto& [name, format] : formats) {
    SCOPED_TRACE(name);
    const ImageMeta image = store_converted(content, name, format);
    const auto fetched = cache(*real_runner_)->fetch(image);
    ASSERT_TRUE(fetched) << fetched.error().chain();
    EXPECT_EQ(fetched->format, DiskFormat::kRaw);
    EXPECT_EQ(fetched->virtual_size_bytes, static_cast<std::int64_t>(std::filesystem::file_size(base())));
    const std::string made = read_text(base());
    EXPECT_EQ(made.substr(0, content.size()), content);
    EXPECT_EQ(made.find_first_not_of('\0', content.size()), std::string::npos);
    EXPECT_FALSE(part_left());
    std::filesystem::remove(base());
  }
}

TEST_F(ImageCacheTest, AVhdIsConvertedToTheSizeThatItsGeometryGives) {
  if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  const ImageMeta image = store_converted(disk_content(), "vpc", DiskFormat::kVhd);
  const auto fetched = cache(*real_runner_)->fetch(image);
  ASSERT_TRUE(fetched) << fetched.error().chain();
  EXPECT_EQ(fetched->virtual_size_bytes, static_cast<std::int64_t>(std::filesystem::file_size(base())));
  EXPECT_EQ(read_text(base()).substr(0, disk_content().size()), disk_content());
}

TEST_F(ImageCacheTest, AQcow2IsKeptWhenRawIsNotForced) {
  if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  options_.force_raw_images = false;
  const ImageMeta image = store_converted(std::string(1 << 20, 'a'), "qcow2", DiskFormat::kQcow2);
  const auto images = cache(scripted_);
  for (int i = 0; i < 2; ++i) {
    const auto fetched = images->fetch(image);
    ASSERT_TRUE(fetched) << fetched.error().chain();
    EXPECT_EQ(fetched->format, DiskFormat::kQcow2);
    EXPECT_EQ(fetched->virtual_size_bytes, 1 << 20);
  }
  EXPECT_EQ(read_text(base()), read_text(store_ + "/" + kId));
  EXPECT_TRUE(scripted_.calls().empty());
  // With the option changed, what lies there must not be taken for raw.
  options_.force_raw_images = true;
  const auto mistaken = cache(scripted_)->fetch(image);
  ASSERT_FALSE(mistaken);
  EXPECT_NE(mistaken.error().chain().find("is not the raw image that is expected there"), std::string::npos) << mistaken.error().chain();
  EXPECT_NE(mistaken.error().action().find("force_raw_images"), std::string::npos);
}

TEST_F(ImageCacheTest, QemuImgRunsWithTheRecordedFormatAndBounds) {
  if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  const ImageMeta image = store_converted(std::string(1 << 20, 'a'), "qcow2", DiskFormat::kQcow2);
  scripted_.expect({kQemuImg, "convert", "-f", "qcow2", "-O", "raw", store_ + "/" + kId, base() + ".part"}, [](const ProcessSpec& spec) {
    write_text(spec.argv.back(), std::string(1 << 20, 'a'));
    return ProcessResult{};
  });
  ASSERT_TRUE(cache(scripted_)->fetch(image));
  const ProcessSpec spec = scripted_.calls().at(0);
  EXPECT_EQ(spec.memory_bytes, std::int64_t{1} << 30);
  EXPECT_EQ(spec.cpu_seconds, 90);
  EXPECT_EQ(spec.file_bytes, 2 << 20);
  EXPECT_EQ(spec.wall_limit, 180s);
}

TEST_F(ImageCacheTest, HostileImagesNeverReachQemuImg) {
  if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  ImageMeta image = store_converted(std::string(1 << 20, 'a'), "qcow2", DiskFormat::kQcow2);
  std::string content = read_text(store_ + "/" + kId);
  image = store(content, DiskFormat::kRaw);
  expect_refused(image, Code::kUnsafe, "its content is qcow2");
  content.replace(8, 8, std::string("\0\0\0\0\0\0\x02\0", 8));
  expect_refused(store(content, DiskFormat::kQcow2), Code::kUnsafe, "it has a backing file");
  expect_refused(store(content, DiskFormat::kUnknown), Code::kUnsafe, "its content is qcow2");
  EXPECT_TRUE(scripted_.calls().empty());
}

TEST_F(ImageCacheTest, AContainerInsideAContainerIsRefused) {
  if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  std::string inner(1 << 20, 'a');
  inner.replace(0, 8, std::string("QFI\xfb\0\0\0\x03", 8));
  const auto fetched = cache(*real_runner_)->fetch(store_converted(inner, "qcow2", DiskFormat::kQcow2));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, Code::kUnsafe);
  EXPECT_NE(fetched.error().chain().find("its content is qcow2"), std::string::npos) << fetched.error().chain();
  EXPECT_TRUE(names_in(options_.base_dir).empty());
}

TEST_F(ImageCacheTest, ContentThatDiffersFromItsRecordIsRefused) {
  ImageMeta image = store(disk_content());
  write_text(store_ + "/" + kId, disk_content().replace(5, 1, "X"));
  expect_refused(image, Code::kUnsafe, "its content has sha512 ");
  image.os_hash_algo = "md5";
  expect_refused(image, Code::kInvalid, "none of sha256, sha384, sha512");
  image.os_hash_value.clear();
  EXPECT_TRUE(cache(scripted_)->fetch(image));  // a record without a digest
}

TEST_F(ImageCacheTest, AnImageSmallerOrLargerThanItsRecordIsRefusedWithBothNumbers) {
  ImageMeta image = store(std::string(10'000, 'a'));
  image.size_bytes = 9'999;
  expect_refused(image, Code::kInvalid, "its file is 10000 bytes, but its record says 9999");
  image.size_bytes = 10'001;
  expect_refused(image, Code::kInvalid, "its file is 10000 bytes, but its record says 10001");
  image.size_bytes = 10'000;
  image.virtual_size_bytes = 20'000;
  expect_refused(image, Code::kInvalid, "its virtual size is 10000 bytes, but its record says 20000");
}

TEST_F(ImageCacheTest, AMissingImageIsNotFound) {
  expect_refused({.id = kId, .disk_format = DiskFormat::kRaw}, Code::kNotFound, "the image store has no file " + store_);
  const auto fetched = cache(scripted_)->fetch({.id = "../../etc/passwd", .disk_format = DiskFormat::kRaw});
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, Code::kInvalid);
}

TEST_F(ImageCacheTest, AFailedConversionLeavesNothing) {
  if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  const ImageMeta image = store_converted(std::string(1 << 20, 'a'), "qcow2", DiskFormat::kQcow2);
  scripted_.expect({"..."}, ProcessResult{.exit_status = 1, .err = "qemu-img: error while writing: Input/output error"});
  expect_refused(image, Code::kExternal, "status 1: qemu-img: error while writing: Input/output error");
  scripted_.expect({"..."}, ProcessResult{.exit_status = 1, .err = "qemu-img: error while writing: No space left on device"});
  expect_refused(image, Code::kNoSpace, "no space left on the file system at ");
  scripted_.expect({"..."}, [](const ProcessSpec&) { return fail(Code::kTimeout, "too slow"); });
  expect_refused(image, Code::kTimeout, "too slow");
  scripted_.expect({"..."}, ProcessResult{});  // said all is well and wrote nothing
  expect_refused(image, Code::kUnsafe, "it is empty");
  scripted_.expect({"..."}, [](const ProcessSpec& spec) {
    write_text(spec.argv.back(), "short");
    return ProcessResult{};
  });
  expect_refused(image, Code::kExternal, "made 5 bytes of an image with a virtual size of 1048576");
}

TEST_F(ImageCacheTest, ASourceThatChangesWhileItIsConvertedIsRefused) {
  if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  const ImageMeta image = store_converted(std::string(1 << 20, 'a'), "qcow2", DiskFormat::kQcow2);
  const std::string content = read_text(store_ + "/" + kId);
  scripted_.expect({"..."}, [&](const ProcessSpec& spec) {
    std::filesystem::remove(spec.argv[6]);
    write_text(spec.argv[6], content);  // same bytes, another file
    write_text(spec.argv[7], std::string(1 << 20, 'a'));
    return ProcessResult{};
  });
  expect_refused(image, Code::kUnsafe, "changed while it was read");
}

TEST_F(ImageCacheTest, APartLeftByACrashIsReplaced) {
  const ImageMeta image = store(disk_content());
  std::filesystem::create_directory(options_.base_dir);
  write_text(base() + ".part", std::string(5'000'000, 'x'));
  ASSERT_TRUE(cache(scripted_)->fetch(image));
  EXPECT_EQ(read_text(base()), disk_content());
  EXPECT_FALSE(part_left());
}

TEST_F(ImageCacheTest, WhatACrashLeftUnfinishedIsRemovedAndNothingElse) {
  std::filesystem::create_directory(options_.base_dir);
  write_text(base() + ".part", "half");
  write_text(options_.base_dir + "/ephemeral_1_ext4", "whole");
  ASSERT_TRUE(cache(scripted_)->remove_unfinished());
  EXPECT_EQ(names_in(options_.base_dir), std::vector<std::string>{"ephemeral_1_ext4"});
}

TEST_F(ImageCacheTest, SomethingElseInTheBasesPlaceIsAConflict) {
  const ImageMeta image = store(disk_content());
  std::filesystem::create_directory(options_.base_dir);
  std::filesystem::create_symlink("/etc/passwd", base());
  const auto fetched = cache(scripted_)->fetch(image);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, Code::kConflict);
}

// Ten at once: the first waits in the source until all others have had every chance to start a fetch of their
// own.
class GatedSource final : public ImageSource {
 public:
  explicit GatedSource(ImageSource& inner) : inner_(inner) {}
  Result<std::string> local_path(const ImageMeta& image) override {
    std::unique_lock lock(mutex_);
    ++asked_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    lock.unlock();
    return inner_.local_path(image);
  }
  void wait_until_asked() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return asked_ > 0; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  int asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  ImageSource& inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int asked_ = 0;
  bool open_ = false;
};

TEST_F(ImageCacheTest, TenAtOnceShareOneFetch) {
  const ImageMeta image = store(disk_content());
  GatedSource gated(source_);
  const auto images = make_image_cache(options_, gated, scripted_);
  std::atomic<int> started{0}, right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&] {
      ++started;
      const auto fetched = images->fetch(image);
      if (fetched && fetched->path == base()) ++right;
    });
  }
  gated.wait_until_asked();
  while (started < 10) std::this_thread::yield();
  gated.open();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 10);
  EXPECT_EQ(gated.asked(), 1);
}

TEST_F(ImageCacheTest, AFailureReachesAllWhoWaitAndTheNextOneTriesAgain) {
  ImageMeta image = store(disk_content());
  image.os_hash_value = std::string(128, '0');
  GatedSource gated(source_);
  const auto images = make_image_cache(options_, gated, scripted_);
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { refused += images->fetch(image) ? 0 : 1; });
  }
  gated.wait_until_asked();
  gated.open();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(refused, 4);
  EXPECT_TRUE(images->fetch(store(disk_content())));
}

TEST_F(ImageCacheTest, AnotherProcessThatHoldsTheLockIsWaitedFor) {
  const ImageMeta image = store(disk_content());
  std::filesystem::create_directory(options_.locks_dir);
  // POSIX record locks are what nova's lock files carry.
  const std::string lock_path = options_.locks_dir + "/nova-" + kSha1;
  int to_child[2], from_child[2];
  ASSERT_EQ(::pipe(to_child), 0);
  ASSERT_EQ(::pipe(from_child), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const int fd = ::open(lock_path.c_str(), O_RDWR | O_CREAT, 0644);
    const int locked = ::lockf(fd, F_LOCK, 0);
    char byte = locked == 0 ? 'l' : 'x';
    if (::write(from_child[1], &byte, 1) != 1 || ::read(to_child[0], &byte, 1) != 1) ::_exit(1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(from_child[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'l');

  options_.lock_wait = 50ms;
  expect_refused(image, Code::kTimeout, "another process has held the lock " + lock_path);
  std::filesystem::create_directories(options_.base_dir);
  write_text(base() + ".part", "what the other one has so far");
  ASSERT_TRUE(cache(scripted_)->remove_unfinished());
  EXPECT_TRUE(part_left());
  options_.lock_wait = 30s;
  std::atomic<bool> done{false};
  std::thread waiter([&] { done = cache(scripted_)->fetch(image).has_value(); });
  EXPECT_FALSE(done);
  ASSERT_EQ(::write(to_child[1], "g", 1), 1);
  waiter.join();
  EXPECT_TRUE(done);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) ::close(fd);
}

TEST_F(ImageCacheTest, AFullDiskIsToldWithItsNumbersAndLeavesNoPart) {
  std::filesystem::create_directory(dir_ / "small");
  // A mount namespace of this test's own thread keeps the mount private and ends with it.
  std::string skipped, failure;
  std::thread worker([&] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", (dir_ / "small").c_str(), "tmpfs", 0, "size=1m") != 0) {
      skipped = "mounting a small tmpfs needs root";
      return;
    }
    options_.base_dir = dir_ / "small/_base";
    const auto fetched = cache(scripted_)->fetch(store(std::string(3 << 20, 'a')));
    if (fetched) {
      failure = "it was fetched";
    } else {
      failure = std::string(to_string(fetched.error().code)) + " " + fetched.error().chain() + " | " + fetched.error().action() + " | ";
      for (const auto& name : names_in(options_.base_dir)) failure += name;
    }
    ::umount((dir_ / "small").c_str());
  });
  worker.join();
  if (!skipped.empty()) GTEST_SKIP() << skipped;
  const std::string small = dir_ / "small";
  EXPECT_NE(failure.find("NO_SPACE "), std::string::npos) << failure;
  EXPECT_NE(failure.find("no space left on the file system at " + small + " (0 MiB of 1 MiB free"), std::string::npos) << failure;
  EXPECT_TRUE(failure.ends_with("| free space on " + small + ", then try again | ")) << failure;
}

TEST_F(ImageCacheTest, AllocatedBytesAreWhatTheDiskHolds) {
  const auto images = cache(scripted_);
  auto bytes = images->allocated_bytes();
  ASSERT_TRUE(bytes) << bytes.error().chain();
  EXPECT_EQ(*bytes, 0);  // no _base yet
  ASSERT_TRUE(images->fetch(store(disk_content())));
  write_text(options_.base_dir + "/swap_1", std::string(8192, 's'));
  bytes = images->allocated_bytes();
  ASSERT_TRUE(bytes) << bytes.error().chain();
  struct stat a {
  }, b{};
  ASSERT_EQ(::stat(base().c_str(), &a), 0);
  ASSERT_EQ(::stat((options_.base_dir + "/swap_1").c_str(), &b), 0);
  EXPECT_EQ(*bytes, (a.st_blocks + b.st_blocks) * 512);
  EXPECT_GT(*bytes, 8192);
}

}  // namespace
}  // namespace ca
