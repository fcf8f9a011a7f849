// Volumes as files, a single disk as XML, and the disks of a fake domain.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/domainxml/disk_device.h"
#include "drivers/hypervisor/fake/fake_hypervisor.h"
#include "drivers/volume.h"
#include "tests/recording_listener.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using Kind = DomainEvent::Kind;

constexpr std::int64_t kMiB = 1 << 20;
constexpr const char* kVolume = "11111111-1111-4111-8111-111111111111";
constexpr const char* kOther = "22222222-2222-4222-8222-222222222222";
constexpr const char* kSnapshot = "33333333-3333-4333-8333-333333333333";
constexpr const char* kDomain = "44444444-4444-4444-8444-444444444444";

class FileVolumes : public ::testing::Test {
 protected:
  VolumeSpec spec(const std::string& id, std::int64_t size) {
    VolumeSpec spec;
    spec.id = id;
    spec.size_bytes = size;
    return spec;
  }
  std::string path(const std::string& id) { return volumes->source(id).path; }

  ScratchDir scratch;
  std::unique_ptr<VolumeBackend> volumes = make_file_volumes(scratch.path() + "/volumes");
};

TEST_F(FileVolumes, AnEmptyVolumeIsASparseFileOfItsSizeForItsOwnerAlone) {
  ASSERT_TRUE(volumes->create(spec(kVolume, 64 * kMiB)));
  struct stat info {};
  ASSERT_EQ(::stat(path(kVolume).c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 64 * kMiB);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_LT(info.st_blocks, 64);
  EXPECT_EQ(*volumes->size(kVolume), std::optional<std::int64_t>(64 * kMiB));
}

TEST_F(FileVolumes, CreatingASecondTimeKeepsWhatIsThere) {
  ASSERT_TRUE(volumes->create(spec(kVolume, kMiB)));
  write_text(path(kVolume), "content");
  ASSERT_TRUE(volumes->create(spec(kVolume, kMiB)));
  EXPECT_EQ(read_text(path(kVolume)), "content");
}

TEST_F(FileVolumes, AVolumeOfAnImageSnapshotOrVolumeHasItsContentAndItsOwnSize) {
  write_text(scratch.path() + "/image", "image");
  auto of_image = spec(kVolume, kMiB);
  of_image.image_path = scratch.path() + "/image";
  ASSERT_TRUE(volumes->create(of_image));
  EXPECT_EQ(read_text(path(kVolume)).substr(0, 6), std::string("image\0", 6));
  EXPECT_EQ(*volumes->size(kVolume), std::optional<std::int64_t>(kMiB));
  ASSERT_TRUE(volumes->create_snapshot(kSnapshot, kVolume));
  write_text(path(kVolume), "later");
  auto of_snapshot = spec(kOther, 2 * kMiB);
  of_snapshot.snapshot_id = kSnapshot;
  ASSERT_TRUE(volumes->create(of_snapshot));
  EXPECT_EQ(read_text(path(kOther)).substr(0, 5), "image");
  EXPECT_EQ(*volumes->size(kOther), std::optional<std::int64_t>(2 * kMiB));
}

TEST_F(FileVolumes, ASourceThatIsLargerOrGoneIsAnErrorThatLeavesNothing) {
  ASSERT_TRUE(volumes->create(spec(kVolume, 2 * kMiB)));
  auto small = spec(kOther, kMiB);
  small.source_volume_id = kVolume;
  EXPECT_EQ(volumes->create(small).error().code, Code::kInvalid);
  auto orphan = spec(kOther, kMiB);
  orphan.snapshot_id = kSnapshot;
  EXPECT_EQ(volumes->create(orphan).error().code, Code::kNotFound);
  EXPECT_EQ(*volumes->size(kOther), std::nullopt);
}

TEST_F(FileVolumes, AVolumeGrowsAndNeverShrinks) {
  ASSERT_TRUE(volumes->create(spec(kVolume, kMiB)));
  ASSERT_TRUE(volumes->extend(kVolume, 2 * kMiB));
  ASSERT_TRUE(volumes->extend(kVolume, 2 * kMiB));
  EXPECT_EQ(volumes->extend(kVolume, kMiB).error().code, Code::kInvalid);
  EXPECT_EQ(*volumes->size(kVolume), std::optional<std::int64_t>(2 * kMiB));
  EXPECT_EQ(volumes->extend(kOther, kMiB).error().code, Code::kNotFound);
}

TEST_F(FileVolumes, ALiveSnapshotIsNotThereBeforeItIsFinishedAndARemovalTakesHalfOfOneToo) {
  ASSERT_TRUE(volumes->create(spec(kVolume, kMiB)));
  const auto target = volumes->begin_live_snapshot(kSnapshot, kVolume);
  ASSERT_TRUE(target && *target);
  EXPECT_EQ(std::filesystem::file_size(**target), static_cast<std::uintmax_t>(kMiB));
  EXPECT_FALSE(std::filesystem::exists(scratch.path() + "/volumes/snapshot-" + kSnapshot));
  ASSERT_TRUE(volumes->finish_live_snapshot(kSnapshot));
  EXPECT_TRUE(std::filesystem::exists(scratch.path() + "/volumes/snapshot-" + kSnapshot));
  ASSERT_TRUE(volumes->begin_live_snapshot(kSnapshot, kVolume));
  ASSERT_TRUE(volumes->remove_snapshot(kSnapshot, kVolume));
  ASSERT_TRUE(volumes->remove(kVolume));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path() + "/volumes"));
}

DiskDevice disk_device() {
  DiskDevice disk;
  disk.source.path = "/volumes/one";
  disk.format = DiskFormat::kRaw;
  disk.target = "vdb";
  disk.serial = kVolume;
  return disk;
}

TEST(DiskDeviceXml, AnIscsiDiskNamesPortalUserAndSecretAndNeverAPassword) {
  DiskDevice disk = disk_device();
  disk.source.kind = DiskSource::Kind::kIscsi;
  disk.source.path = "iqn.2026-01.org.example:v/1";
  disk.source.hosts = {{"192.0.2.1", "3260"}};
  disk.source.auth_user = "agent";
  disk.source.auth_secret = kVolume;
  disk.shareable = true;
  const auto xml = disk_device_xml(disk, {}, {});
  ASSERT_TRUE(xml);
  for (const char* part : {"protocol=\"iscsi\"", "name=\"iqn.2026-01.org.example:v/1\"", "name=\"192.0.2.1\"", "username=\"agent\"",
                           "<shareable", "<serial>11111111-1111-4111-8111-111111111111</serial>", "type=\"raw\""}) {
    EXPECT_THAT(*xml, HasSubstr(part));
  }
}

TEST(DiskTarget, IsThatOfTheDiskWithTheSerialOrEmpty) {
  const std::string xml = "<domain><devices><disk><target dev='vda'/></disk><disk><target dev='vdc'/><serial>" + std::string(kVolume) +
                          "</serial></disk></devices></domain>";
  EXPECT_EQ(*disk_target(xml, kVolume), "vdc");
  EXPECT_EQ(*disk_target(xml, kOther), "");
  EXPECT_EQ(disk_target("<domain", kVolume).error().code, Code::kExternal);
}

class FakeDevices : public ::testing::Test {
 protected:
  void SetUp() override {
    fake.start(listener);
    ASSERT_TRUE(fake.define("<domain><name>d</name><uuid>" + std::string(kDomain) + "</uuid><devices/></domain>"));
    xml = *disk_device_xml(disk_device(), {}, {});
  }
  ~FakeDevices() override { fake.stop(); }
  std::string target(DeviceScope scope) {
    return *disk_target(scope == DeviceScope::kLive ? *fake.domain_xml(kDomain) : *fake.definition_xml(kDomain), kVolume);
  }

  RecordingListener listener;
  FakeHypervisor fake;
  std::string xml;
};

TEST_F(FakeDevices, LiveGuestAndDefinitionAreChangedApart) {
  EXPECT_EQ(fake.attach_device(kDomain, xml, DeviceScope::kLive).error().code, Code::kConflict);
  ASSERT_TRUE(fake.create(kDomain));
  ASSERT_TRUE(fake.attach_device(kDomain, xml, DeviceScope::kLive));
  EXPECT_EQ(target(DeviceScope::kLive), "vdb");
  EXPECT_EQ(target(DeviceScope::kDefinition), "");
}

TEST_F(FakeDevices, AGuestThatHoldsOnSaysSoAndKeepsTheDevice) {
  ASSERT_TRUE(fake.create(kDomain));
  ASSERT_TRUE(fake.attach_device(kDomain, xml, DeviceScope::kLive));
  fake.set_guest_keeps_devices(true);
  ASSERT_TRUE(fake.detach_device(kDomain, xml, DeviceScope::kLive));
  EXPECT_TRUE(listener.wait_for_event(kDomain, Kind::kDeviceRemovalFailed));
  EXPECT_EQ(target(DeviceScope::kLive), "vdb");
  fake.set_guest_keeps_devices(false);
  ASSERT_TRUE(fake.detach_device(kDomain, xml, DeviceScope::kLive));
  EXPECT_TRUE(listener.wait_for_event(kDomain, Kind::kDeviceRemoved));
  EXPECT_EQ(fake.detach_device(kDomain, xml, DeviceScope::kLive).error().code, Code::kNotFound);
}

}  // namespace
}  // namespace ca
