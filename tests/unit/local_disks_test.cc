#include <gtest/gtest.h>

#include "agent/verbs/local_disks.h"

namespace ca {
namespace {

constexpr std::int64_t kGib = std::int64_t{1} << 30;
const DiskPlan kVirtio{.root_bus = "virtio", .root_target = "vda", .disk_bus = "virtio", .cdrom_bus = "ide", .cdrom_target = "hda"};
const NewDisks kQcow2{.storage = "qcow2", .format = DiskFormat::kQcow2, .ephemeral_format = ""};

Instance instance_of(std::int64_t ephemeral_gib, std::int64_t swap_mib) {
  Instance instance;
  instance.uuid = "00000000-0000-4000-8000-000000000001";
  instance.flavor.root_gib = 5;
  instance.flavor.ephemeral_gib = ephemeral_gib;
  instance.flavor.swap_mib = swap_mib;
  return instance;
}

BlockDevice blank(std::int64_t size, const std::string& format = "") {
  BlockDevice device;
  device.source = BlockSource::kBlank;
  device.destination = BlockDestination::kLocal;
  device.size_gib = size;
  device.guest_format = format;
  return device;
}

std::string words(const std::vector<LocalDisk>& disks) {
  std::string text;
  for (const LocalDisk& d : disks) text += d.name + " " + d.device_name + " " + std::to_string(d.size_bytes) + " " + d.guest_format + "; ";
  return text;
}

TEST(LocalDisks, OnlyTheRootWhereTheFlavorHasNoMore) {
  const auto disks = planned_disks(instance_of(0, 0), kVirtio, kQcow2);
  ASSERT_TRUE(disks);
  EXPECT_EQ(words(*disks), "disk /dev/vda 5368709120 ; ");
  EXPECT_EQ(disks->front().storage, "qcow2");
  EXPECT_EQ(disks->front().format, DiskFormat::kQcow2);
}

TEST(LocalDisks, OneEphemeralDiskOfAllThatTheFlavorHasAndSwapAfterIt) {
  const auto disks = planned_disks(instance_of(2, 64), kVirtio, kQcow2);
  ASSERT_TRUE(disks);
  EXPECT_EQ(words(*disks), "disk /dev/vda 5368709120 ; disk.eph0 /dev/vdb 2147483648 vfat; disk.swap /dev/vdc 67108864 swap; ");
}

TEST(LocalDisks, FileSystemIsOrderedElseConfiguredElseByTheGuestsSystem) {
  Instance instance = instance_of(3, 0);
  instance.image.properties["os_type"] = "linux";
  EXPECT_EQ(planned_disks(instance, kVirtio, kQcow2)->at(1).guest_format, "ext4");
  NewDisks configured = kQcow2;
  configured.ephemeral_format = "vfat";
  EXPECT_EQ(planned_disks(instance, kVirtio, configured)->at(1).guest_format, "vfat");
  instance.block_devices = {blank(1, "xfs")};
  EXPECT_EQ(planned_disks(instance, kVirtio, configured)->at(1).guest_format, "xfs");
}

TEST(LocalDisks, SeveralEphemeralDisksShareWhatTheFlavorHas) {
  Instance instance = instance_of(3, 64);
  instance.block_devices = {blank(1), blank(32, "swap"), blank(2, "ext4")};
  EXPECT_EQ(words(*planned_disks(instance, kVirtio, kQcow2)),
            "disk /dev/vda 5368709120 ; disk.eph0 /dev/vdb 1073741824 vfat; disk.eph1 /dev/vdc 2147483648 ext4; "
            "disk.swap /dev/vdd 33554432 swap; ");
  instance.block_devices.push_back(blank(1));
  const auto refused = planned_disks(instance, kVirtio, kQcow2);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("4 GiB of 3 GiB"), std::string::npos) << refused.error().message;
}

TEST(LocalDisks, MoreSwapThanTheFlavorHasIsRefused) {
  Instance instance = instance_of(0, 64);
  instance.block_devices = {blank(65, "swap")};
  EXPECT_EQ(planned_disks(instance, kVirtio, kQcow2).error().code, Code::kInvalid);
}

TEST(LocalDisks, VolumesAreNobodysBusinessHere) {
  Instance instance = instance_of(1, 0);
  BlockDevice volume;
  volume.size_gib = 100;
  instance.block_devices = {volume};
  EXPECT_EQ(planned_disks(instance, kVirtio, kQcow2)->size(), 2U);
}

TEST(LocalDisks, NamesFollowTheBusOfTheImage) {
  const DiskPlan scsi{.root_bus = "scsi", .root_target = "sda", .disk_bus = "scsi", .cdrom_bus = "sata", .cdrom_target = "sdb"};
  EXPECT_EQ(words(*planned_disks(instance_of(1, 1), scsi, kQcow2)),
            "disk /dev/sda 5368709120 ; disk.eph0 /dev/sdb 1073741824 vfat; disk.swap /dev/sdc 1048576 swap; ");
}

TEST(LocalDisks, CacheModeIsThatOfTheKindOfSource) {
  Config config;
  config.disk_cachemodes = {"file=writeback", "network=writethrough"};
  DiskSource source;
  EXPECT_EQ(cache_mode(config, source), "writeback");
  source.kind = DiskSource::Kind::kBlock;
  EXPECT_EQ(cache_mode(config, source), "none");
  source.kind = DiskSource::Kind::kRbd;
  EXPECT_EQ(cache_mode(config, source), "writethrough");
}

}  // namespace
}  // namespace ca
