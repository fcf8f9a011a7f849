#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "drivers/disk/qcow2/qcow2_backend.h"
#include "drivers/disk/raw/raw_backend.h"
#include "drivers/files/durable_file.h"
#include "drivers/process/posix/posix_process_runner.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace testing;

constexpr const char* kQemuImg = "/usr/bin/qemu-img";
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;

class Disks : public ::testing::Test {
 protected:
  // A base of 1 MiB with data at both ends.
  void SetUp() override { write_text(base_, std::string(1000, 'a') + std::string(kMiB - 2000, '\0') + std::string(1000, 'z')); }

  DiskSpec spec(std::int64_t size) {
    return {.path = disk_, .base_path = base_, .base_format = DiskFormat::kRaw, .base_virtual_bytes = kMiB, .size_bytes = size};
  }

  void expect_refused(DiskBackend& backend, const DiskSpec& wanted, Code code, const std::string& words) {
    const auto made = backend.create(wanted);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, code) << made.error().chain();
    EXPECT_NE(made.error().chain().find(words), std::string::npos) << made.error().chain();
    EXPECT_FALSE(std::filesystem::exists(wanted.path));
    EXPECT_FALSE(std::filesystem::exists(wanted.path + ".part"));
  }

  const ScratchDir dir_;
  const std::string base_ = dir_ / "base";
  const std::string disk_ = dir_ / "disk";
  const std::unique_ptr<ProcessRunner> processes_ = make_posix_process_runner();
  std::unique_ptr<DiskBackend> qcow2_ = make_qcow2_backend(dir_.path(), *processes_, "/usr/bin/qemu-img");
  std::unique_ptr<DiskBackend> raw_ = make_raw_backend(dir_.path());
};

TEST_F(Disks, GrowsAndNeverShrinks) {
  for (DiskBackend* backend : {qcow2_.get(), raw_.get()}) {
    ASSERT_TRUE(backend->create(spec(kGiB)));
    ASSERT_TRUE(backend->resize(disk_, 3 * kGiB));
    EXPECT_EQ(backend->size(disk_).value(), 3 * kGiB);
    EXPECT_TRUE(backend->resize(disk_, 3 * kGiB)) << "a step that is run again";
    const auto smaller = backend->resize(disk_, kGiB);
    ASSERT_FALSE(smaller);
    EXPECT_EQ(smaller.error().code, Code::kInvalid);
    EXPECT_EQ(backend->size(disk_).value(), 3 * kGiB);
    ASSERT_TRUE(backend->remove(disk_));
    EXPECT_EQ(backend->size(disk_).value(), std::nullopt);
    EXPECT_EQ(backend->resize(disk_, kGiB).error().code, Code::kNotFound);
  }
}

// In a directory of its own, as an instance's.
class KeptDisks : public Disks {
 protected:
  void SetUp() override {
    Disks::SetUp();
    std::filesystem::create_directory(dir_ / "inst");
    ASSERT_TRUE(
        raw_->create({.path = disk, .base_path = base_, .base_format = DiskFormat::kRaw, .base_virtual_bytes = kMiB, .size_bytes = kMiB}));
  }
  [[nodiscard]] char first() const {
    char c = 0;
    std::ifstream(disk).get(c);
    return c;
  }
  void write_first(char c) const { std::fstream(disk, std::ios::in | std::ios::out | std::ios::binary).put(c); }

  const std::string disk = dir_ / "inst/disk";
  const std::string kept = dir_ / "inst_resize/disk";
};

TEST_F(KeptDisks, AreGivenBackAsTheyWereAndOnce) {
  ASSERT_TRUE(raw_->keep(disk));
  ASSERT_TRUE(raw_->resize(disk, 2 * kMiB));
  write_first('X');
  ASSERT_TRUE(raw_->give_back(disk));
  EXPECT_EQ(first(), 'a');
  EXPECT_EQ(raw_->size(disk).value(), kMiB);
  write_first('Y');
  EXPECT_TRUE(raw_->give_back(disk)) << "a step that is run again";
  EXPECT_EQ(first(), 'Y');
  EXPECT_TRUE(raw_->forget_kept(disk));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "inst_resize"));
}

TEST_F(KeptDisks, KeepingAgainReplacesAnOlderCopy) {
  ASSERT_TRUE(raw_->keep(disk));
  write_first('N');
  ASSERT_TRUE(raw_->keep(disk));
  write_first('X');
  ASSERT_TRUE(raw_->give_back(disk));
  EXPECT_EQ(first(), 'N');
}

TEST_F(KeptDisks, ForgottenTheyCannotBeGivenBackAndTheDiskStays) {
  ASSERT_TRUE(raw_->keep(disk));
  write_first('X');
  ASSERT_TRUE(raw_->forget_kept(disk));
  EXPECT_TRUE(raw_->forget_kept(disk)) << "a step that is run again";
  EXPECT_FALSE(std::filesystem::exists(kept));
  EXPECT_EQ(raw_->give_back(disk).error().code, Code::kNotFound);
  EXPECT_EQ(first(), 'X');
}

TEST_F(Disks, WhatTheGuestWroteIntoARawDiskIsNeverTakenForAHeader) {
  ASSERT_TRUE(raw_->create(spec(kGiB)));
  { std::fstream(disk_, std::ios::in | std::ios::out | std::ios::binary) << "QFI\xfb" << std::string("\0\0\0\2", 4); }
  ASSERT_TRUE(raw_->resize(disk_, 2 * kGiB));
  EXPECT_EQ(raw_->size(disk_).value(), 2 * kGiB);
  EXPECT_EQ(std::filesystem::file_size(disk_), 2 * kGiB);
}

TEST_F(Disks, ImportReplacesADiskByACompleteFile) {
  write_text(dir_ / "drive", "config");
  write_text(disk_, "old content");
  ASSERT_TRUE(raw_->import(dir_ / "drive", disk_));
  EXPECT_EQ(read_text(disk_), "config");
}

TEST_F(Disks, DroppedFileTakesOnlyItsOwnPartWithIt) {
  auto first = DurableFile::create(disk_, 0600);
  ASSERT_TRUE(first);
  {
    auto second = DurableFile::create(disk_, 0600);  // replaces the first one's part
    ASSERT_TRUE(second);
    { const DurableFile dropped = *std::move(first); }
    EXPECT_TRUE(std::filesystem::exists(disk_ + ".part"));
  }
  EXPECT_FALSE(std::filesystem::exists(disk_ + ".part"));
}

class QemuChecked : public Disks {
 protected:
  void SetUp() override {
    if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
    Disks::SetUp();
  }

  std::string qemu_img(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), kQemuImg);
    const auto result = runner_->run({.argv = arguments});
    EXPECT_TRUE(result) << result.error().chain();
    if (!result) return {};
    EXPECT_EQ(result->exit_status, 0) << result->err << result->out;
    return result->out;
  }

  // What qemu-img says of an overlay and all beneath it, without what names or dates the file or counts its
  // blocks.
  nlohmann::json meaning(const std::string& path) {
    auto chain = nlohmann::json::parse(qemu_img({"info", "--output=json", "--backing-chain", path}));
    chain.at(0).erase("filename");
    chain.at(0).erase("actual-size");
    return chain;
  }

  std::unique_ptr<ProcessRunner> runner_ = make_posix_process_runner();
};

TEST_F(QemuChecked, OverlaysMeanWhatQemuImgWouldHaveWritten) {
  for (const std::int64_t size :
       {kMiB, kMiB + 1, kMiB + 512, 512 * kMiB, 512 * kMiB + 512, kGiB, 20 * kGiB, 2048 * kGiB, 5000 * kGiB + 513}) {
    SCOPED_TRACE(size);
    std::filesystem::remove(disk_);
    const auto made = qcow2_->create(spec(size));
    ASSERT_TRUE(made) << made.error().chain();
    qemu_img({"check", "-q", "-f", "qcow2", disk_});
    const std::string reference = dir_ / "reference";
    qemu_img({"create", "-q", "-f", "qcow2", "-F", "raw", "-b", base_, reference, std::to_string(size)});
    EXPECT_EQ(meaning(disk_), meaning(reference));
    // Size, backing file and format as they were asked for, as nova's own disks have them.
    const auto info = meaning(disk_).at(0);
    EXPECT_EQ(info.at("virtual-size"), (size + 511) / 512 * 512);
    EXPECT_EQ(info.at("backing-filename"), base_);
    EXPECT_EQ(info.at("backing-filename-format"), "raw");
    EXPECT_EQ(info.at("cluster-size"), 65536);
    std::filesystem::remove(reference);
  }
}

TEST_F(QemuChecked, AnOverlayShowsTheBaseTakesWritesAndStaysSound) {
  ASSERT_TRUE(qcow2_->create(spec(3 * kGiB + 512)));
  const std::string flat = dir_ / "flat";
  qemu_img({"convert", "-f", "qcow2", "-O", "raw", disk_, flat});
  EXPECT_EQ(std::filesystem::file_size(flat), static_cast<std::uintmax_t>(3 * kGiB + 512));
  std::string start(kMiB, '\0');
  std::ifstream(flat, std::ios::binary).read(start.data(), kMiB);
  EXPECT_EQ(start, read_text(base_));
  // Written through qemu at the start, over the end of an L1 entry and at the very end.
  for (const auto* write : {"write -P 1 0 70k", "write -P 2 536805376 256k", "write -P 3 3221225472 512"}) {
    const auto wrote = runner_->run({.argv = {"/usr/bin/qemu-io", "-f", "qcow2", "-c", write, disk_}});
    ASSERT_TRUE(wrote && wrote->exit_status == 0) << write;
  }
  qemu_img({"check", "-q", "-f", "qcow2", disk_});
  EXPECT_EQ(read_text(base_), start);
}

TEST_F(QemuChecked, OverlaysOfQcow2BasesRecordThatFormat) {
  const std::string kept = dir_ / "kept";
  qemu_img({"convert", "-f", "raw", "-O", "qcow2", base_, kept});
  DiskSpec wanted = spec(kGiB);
  wanted.base_path = kept;
  wanted.base_format = DiskFormat::kQcow2;
  ASSERT_TRUE(qcow2_->create(wanted));
  qemu_img({"check", "-q", "-f", "qcow2", disk_});
  EXPECT_EQ(meaning(disk_).at(0).at("backing-filename-format"), "qcow2");
  qemu_img({"compare", "-f", "raw", "-F", "qcow2", base_, disk_});
}

TEST_F(QemuChecked, TheLongestBackingNameFits) {
  std::string directory = dir_.path();
  while (directory.size() < 1023 - 202) {
    directory += "/" + std::string(200, 'd');
    std::filesystem::create_directory(directory);
  }
  DiskSpec wanted = spec(kGiB);
  wanted.base_path = directory + "/" + std::string(1023 - directory.size() - 1, 'b');
  std::filesystem::copy(base_, wanted.base_path);
  ASSERT_TRUE(qcow2_->create(wanted));
  EXPECT_EQ(meaning(disk_).at(0).at("backing-filename"), wanted.base_path);
  std::filesystem::remove(disk_);
  std::filesystem::rename(wanted.base_path, wanted.base_path + "x");
  wanted.base_path += "x";
  expect_refused(*qcow2_, wanted, Code::kInvalid, "at most 1023 bytes, this one has 1024");
}

TEST_F(Disks, ASizeSmallerThanTheImageIsRefusedWithBothNumbers) {
  for (DiskBackend* backend : {qcow2_.get(), raw_.get()}) {
    expect_refused(*backend, spec(kMiB - 1), Code::kInvalid, "Flavor disk is 1048575 bytes, image is 1048576 bytes");
    expect_refused(*backend, spec(0), Code::kInvalid, "makes no sense");
  }
  expect_refused(*qcow2_, spec(std::int64_t{1} << 52), Code::kInvalid, "up to 2251799813685248 bytes");
}

TEST_F(Disks, AMissingOrDifferentBaseIsRefused) {
  for (DiskBackend* backend : {qcow2_.get(), raw_.get()}) {
    DiskSpec wanted = spec(kGiB);
    wanted.base_virtual_bytes = 2 * kMiB;
    expect_refused(*backend, wanted, Code::kConflict, "has 1048576 bytes, but its record says 2097152");
    wanted.base_path = dir_ / "missing";
    expect_refused(*backend, wanted, Code::kNotFound, "is gone");
  }
}

TEST_F(Disks, BasesOfOtherFormatsAreRefused) {
  DiskSpec wanted = spec(kGiB);
  wanted.base_format = DiskFormat::kVmdk;
  expect_refused(*qcow2_, wanted, Code::kInvalid, "raw or qcow2, not vmdk");
  wanted.base_format = DiskFormat::kQcow2;
  expect_refused(*raw_, wanted, Code::kInvalid, "a raw disk is a copy of a raw base");
}

TEST_F(Disks, AnExistingDiskIsLeftAsItIs) {
  for (DiskBackend* backend : {qcow2_.get(), raw_.get()}) {
    write_text(disk_, "the guest's own");
    const auto made = backend->create(spec(kGiB));
    ASSERT_TRUE(made) << made.error().chain();
    EXPECT_EQ(read_text(disk_), "the guest's own");
  }
}

TEST_F(Disks, APartLeftByACrashIsReplaced) {
  for (DiskBackend* backend : {qcow2_.get(), raw_.get()}) {
    write_text(disk_ + ".part", std::string(500'000, 'x'));
    ASSERT_TRUE(backend->create(spec(2 * kMiB)));
    EXPECT_EQ(names_in(dir_.path()), (std::vector<std::string>{"base", "disk"}));
    ASSERT_TRUE(backend->remove(disk_));
  }
}

TEST_F(Disks, ALinkInTheDisksPlaceIsAConflictAndStays) {
  std::filesystem::create_symlink("/etc/passwd", disk_);
  const auto made = qcow2_->create(spec(kGiB));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kConflict);
  EXPECT_TRUE(std::filesystem::is_symlink(disk_));
}

TEST_F(Disks, RemoveTakesPartsTooAndMayBeRepeated) {
  for (DiskBackend* backend : {qcow2_.get(), raw_.get()}) {
    ASSERT_TRUE(backend->create(spec(kGiB)));
    write_text(disk_ + ".part", "x");
    EXPECT_TRUE(backend->remove(disk_));
    EXPECT_TRUE(backend->remove(disk_));
    EXPECT_TRUE(backend->remove(dir_ / "no/such/directory/disk"));
    EXPECT_EQ(names_in(dir_.path()), std::vector<std::string>{"base"});
  }
}

TEST_F(Disks, DisksArePrivateToTheirOwner) {
  for (DiskBackend* backend : {qcow2_.get(), raw_.get()}) {
    ASSERT_TRUE(backend->create(spec(kGiB)));
    struct stat info {};
    ASSERT_EQ(::stat(disk_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600U);
    ASSERT_TRUE(backend->remove(disk_));
  }
}

TEST_F(Disks, ARawDiskIsASparseCopyGrownToItsSize) {
  ASSERT_EQ(raw_->format(), DiskFormat::kRaw);
  ASSERT_TRUE(raw_->create(spec(kGiB)));
  struct stat info {};
  ASSERT_EQ(::stat(disk_.c_str(), &info), 0);
  EXPECT_EQ(info.st_size, kGiB);
  EXPECT_LT(info.st_blocks * 512, kMiB);
  std::string start(2 * kMiB, '\0');
  std::ifstream(disk_, std::ios::binary).read(start.data(), 2 * kMiB);
  EXPECT_EQ(start, read_text(base_) + std::string(kMiB, '\0'));
}

}  // namespace
}  // namespace ca
