// The steps that make an image of an instance, on a fake hypervisor: what must not be left behind, whatever fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "agent/verbs/steps.h"
#include "drivers/disk_convert.h"
#include "drivers/disk/qcow2/qcow2_backend.h"
#include "drivers/disk/raw/raw_backend.h"
#include "drivers/hypervisor/fake/fake_hypervisor.h"
#include "drivers/image/cache/image_cache.h"
#include "drivers/image/sources/file_image_source.h"
#include "drivers/network/fake/fake_network.h"
#include "drivers/process/scripted/scripted_process_runner.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ScratchDir;

constexpr const char* kUuid = "11111111-1111-4111-8111-111111111111";
constexpr const char* kImage = "22222222-2222-4222-8222-222222222222";
const std::string kXml = "<domain><name>instance-00000001</name><uuid>" + std::string(kUuid) + "</uuid></domain>";

class Snapshots : public ::testing::Test {
 protected:
  Snapshots() {
    config_.instances_path = dir_ / "instances";
    config_.data_path = dir_ / "data";
    std::filesystem::create_directories(config_.data_path);
    std::filesystem::create_directories(paths().instance_dir(kUuid));
    std::ofstream(paths().disk(kUuid)) << std::string(4096, 'x');
    store_ = *Store::open(dir_ / "agent.db", clock_);
    raw_ = make_raw_backend(config_.instances_path);
    qcow2_ = make_qcow2_backend(config_.instances_path, runner_, config_.qemu_img);
    source_ = make_file_image_source(dir_ / "images");
    cache_ = make_image_cache({.base_dir = dir_ / "base", .locks_dir = dir_ / "locks", .qemu_img = config_.qemu_img}, *source_, runner_);
    image_store_ = make_local_image_store(dir_ / "images");
    paths_ = std::make_unique<Paths>(config_);
    services_ = std::make_unique<Services>(
        Services{config_, *paths_, clock_, *store_, hypervisor_, events_, networks_, *cache_, *qcow2_, claims_,
                 []() -> Result<VirtChoice> {
                   return VirtChoice{"qemu", "test"};
                 },
                 [this](std::string_view storage) -> Result<DiskBackend*> { return storage == "raw" ? raw_.get() : qcow2_.get(); },
                 *image_store_, runner_, volumes_});
    hypervisor_.start(events_);
    instance_.uuid = kUuid;
    instance_.number = 1;
    // Made as raw, although new disks are qcow2 by now: the record counts.
    instance_.local_disks = {
        {.name = "disk", .storage = "raw", .format = DiskFormat::kRaw, .size_bytes = 4096, .device_name = "/dev/vda", .guest_format = {}}};
    op_.instance_uuid = kUuid;
    op_.args = {{"image_id", kImage}};
  }
  ~Snapshots() override { hypervisor_.stop(); }

  Paths paths() { return Paths(config_); }
  void run_guest() {
    ASSERT_TRUE(hypervisor_.define(kXml));
    ASSERT_TRUE(hypervisor_.create(kUuid));
    hypervisor_.faults().forget_calls();
  }
  void require_quiesce() { instance_.image.properties = {{"hw_qemu_guest_agent", "yes"}, {"os_require_quiesce", "yes"}}; }
  Result<void> copy() {
    StepContext ctx(op_, instance_, cancelled_);
    return copy_disk_step(*services_, TaskState::kImagePendingUpload).run(ctx);
  }
  Result<void> undo() {
    StepContext ctx(op_, instance_, cancelled_);
    return copy_disk_step(*services_, TaskState::kImagePendingUpload).undo(ctx);
  }
  // Of the calls that change something of the guest.
  std::vector<std::string> changes() {
    std::vector<std::string> names;
    for (const FakeCall& call : hypervisor_.faults().calls()) {
      if (call.method != "power_state" && call.method != "block_job") names.push_back(call.method);
    }
    return names;
  }
  void expect_nothing_left() {
    EXPECT_THAT(hypervisor_.block_jobs(), IsEmpty());
    EXPECT_FALSE(hypervisor_.frozen(kUuid));
    EXPECT_FALSE(std::filesystem::exists(file_));
    EXPECT_THAT(hypervisor_.running(), ElementsAre(kUuid));
  }

  const ScratchDir dir_;
  const std::string file_ = dir_ / "instances/" + std::string(kUuid) + "/disk.snapshot.part";
  Config config_;
  SystemClock clock_;
  ScriptedProcessRunner runner_;
  FakeHypervisor hypervisor_;
  FakeNetworkDriver networks_;
  DomainEvents events_;
  ClaimTable claims_{HostCapacity{}};
  VolumeAccess volumes_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<DiskBackend> raw_, qcow2_;
  std::unique_ptr<ImageSource> source_;
  std::unique_ptr<ImageCache> cache_;
  std::unique_ptr<ImageStore> image_store_;
  std::unique_ptr<Paths> paths_;
  std::unique_ptr<Services> services_;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  Instance instance_;
  Operation op_;
};

TEST_F(Snapshots, AGuestIsFrozenOnlyWhileACompleteCopyIsCutOff) {
  run_guest();
  require_quiesce();
  ASSERT_TRUE(copy());
  EXPECT_THAT(changes(), ElementsAre("thaw", "end_block_job", "start_block_copy", "freeze", "end_block_job", "thaw"));
  EXPECT_TRUE(std::filesystem::exists(file_));
  EXPECT_THAT(hypervisor_.block_jobs(), IsEmpty());
  EXPECT_FALSE(hypervisor_.frozen(kUuid));
}

TEST_F(Snapshots, AGuestThatNeedNotFreezeIsNotAsked) {
  run_guest();
  ASSERT_TRUE(copy());
  EXPECT_THAT(changes(), ElementsAre("end_block_job", "start_block_copy", "end_block_job"));
}

TEST_F(Snapshots, AGuestThatDoesNotFreezeFailsOnlyWhereItsImageRequiresIt) {
  run_guest();
  require_quiesce();
  hypervisor_.faults().fail_always("freeze", {.code = Code::kTimeout, .message = "no agent"});
  EXPECT_FALSE(copy());
  ASSERT_TRUE(undo());
  expect_nothing_left();
  instance_.image.properties.erase("os_require_quiesce");
  EXPECT_TRUE(copy());
}

TEST_F(Snapshots, AGuestThawsWhereTheCopyCannotBeEnded) {
  run_guest();
  require_quiesce();
  hypervisor_.faults().fail("end_block_job", 2, {.code = Code::kExternal, .message = "stuck"});
  EXPECT_FALSE(copy());
  EXPECT_FALSE(hypervisor_.frozen(kUuid));
  ASSERT_TRUE(undo());
  expect_nothing_left();
}

TEST_F(Snapshots, WhatADeadAttemptLeftIsClearedFirst) {
  run_guest();
  require_quiesce();
  ASSERT_TRUE(hypervisor_.start_block_copy(kUuid, paths().disk(kUuid), file_, DiskFormat::kRaw));
  ASSERT_TRUE(hypervisor_.freeze(kUuid));
  EXPECT_TRUE(copy());
  EXPECT_FALSE(hypervisor_.frozen(kUuid));
  EXPECT_THAT(hypervisor_.block_jobs(), IsEmpty());
}

TEST_F(Snapshots, ACancelledCopyLeavesNoJobAndNoFile) {
  run_guest();
  hypervisor_.set_copies_get_ready(false);
  *cancelled_ = true;
  const auto copied = copy();
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, Code::kCancelled);
  ASSERT_TRUE(undo());
  expect_nothing_left();
}

TEST_F(Snapshots, ADiskAtRestIsReadInItsRecordedFormat) {
  std::ofstream(paths().disk(kUuid)) << "QFI\xfb" << std::string(4092, '\0');  // what the guest wrote
  runner_.expect({"*/qemu-img", "convert", "-f", "raw", "-O", "raw", "*/disk", "*/disk.snapshot.part"}, ProcessResult{});
  EXPECT_TRUE(copy());
  config_.snapshot_image_format = "qcow2";
  runner_.expect({"*/qemu-img", "convert", "-f", "raw", "-O", "qcow2", "*/disk", "*/disk.snapshot.part"}, ProcessResult{});
  EXPECT_TRUE(copy());
  EXPECT_EQ(runner_.left(), 0U);
}

TEST_F(Snapshots, UnavailableLibvirtIsNotTakenForAGuestThatIsOff) {
  run_guest();
  hypervisor_.faults().fail_always("power_state", {.code = Code::kUnavailable, .message = "away"});
  const auto copied = copy();
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, Code::kUnavailable);
  EXPECT_THAT(runner_.calls(), IsEmpty());
}

TEST_F(Snapshots, FileThatWasTakenIsFoundAgainByASecondTry) {
  std::ofstream(file_) << std::string(2048, 'y');
  const auto first = image_store_->take(kImage, DiskFormat::kRaw, file_, 1 << 20);
  ASSERT_TRUE(first) << first.error().chain();
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_EQ(first->size_bytes, 2048);
  const auto again = image_store_->take(kImage, DiskFormat::kRaw, file_, 1 << 20);
  ASSERT_TRUE(again) << again.error().chain();
  EXPECT_EQ(again->sha512, first->sha512);
}

TEST_F(Snapshots, FileThatIsNotWhatItIsTakenForIsRefused) {
  std::ofstream(file_) << "QFI\xfb" << std::string(2044, '\0');
  EXPECT_EQ(image_store_->take(kImage, DiskFormat::kRaw, file_, 1 << 20).error().code, Code::kUnsafe);
  EXPECT_EQ(image_store_->take(kImage, DiskFormat::kRaw, file_, 1024).error().code, Code::kTooLarge);
  EXPECT_FALSE(std::filesystem::exists(image_store_->path(kImage)));
}

TEST_F(Snapshots, InheritedPropertiesAreThoseOfTheInstancesImage) {
  instance_.image.id = kUuid;
  instance_.image.min_disk_gib = 1;
  instance_.flavor.root_gib = 3;
  instance_.image.properties = {{"hw_disk_bus", "scsi"}, {"image_type", "backup"}, {"backup_type", "daily"}, {"img_signature", "x"}};
  const ImageMeta image = new_snapshot(instance_, kImage, "snap", "snapshot");
  EXPECT_EQ(image.min_disk_gib, 3);
  EXPECT_EQ(image.properties.at("hw_disk_bus"), "scsi");
  EXPECT_EQ(image.properties.at("image_type"), "snapshot");
  EXPECT_EQ(image.properties.at("base_image_ref"), kUuid);
  EXPECT_EQ(image.properties.count("backup_type") + image.properties.count("img_signature"), 0U);
}

TEST(ConvertDisk, OnlyAbsolutePathsAndDiskFormatsReachQemuImg) {
  ScriptedProcessRunner runner;
  EXPECT_EQ(convert_disk(runner, "/usr/bin/qemu-img", {.from = "nbd:host:1", .to = "/x"}).error().code, Code::kInvalid);
  EXPECT_EQ(convert_disk(runner, "/usr/bin/qemu-img", {.from = "/a", .from_format = DiskFormat::kUnknown, .to = "/x"}).error().code,
            Code::kInvalid);
  EXPECT_THAT(runner.calls(), IsEmpty());
}

}  // namespace
}  // namespace ca
