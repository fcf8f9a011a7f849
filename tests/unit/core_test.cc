#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agent/core/records_json.h"

namespace ca {
namespace {

TEST(Error, ChainNamesEveryCauseOutermostFirst) {
  auto inner = fail(Code::kNoSpace, "qemu-img: no space left", "free space on /var");
  auto outer = wrap(std::move(inner).value(), "cannot create overlay for 5f2c");
  EXPECT_EQ(outer.value().chain(), "cannot create overlay for 5f2c: qemu-img: no space left");
  EXPECT_EQ(outer.value().code, Code::kNoSpace);
  EXPECT_EQ(outer.value().action(), "free space on /var");
}

TEST(Error, EveryCodeHasANextActionAndAStatus) {
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) {
    const Error error{.code = static_cast<Code>(code), .message = "x", .step = {}, .next_action = {}, .cause = nullptr};
    EXPECT_FALSE(error.action().empty());
    EXPECT_GE(http_status(error.code), 400);
  }
}

TEST(Ids, UuidsAreCanonicalAndDiffer) {
  const Uuid a = new_uuid();
  EXPECT_TRUE(is_uuid(a));
  EXPECT_NE(a, new_uuid());
  EXPECT_EQ(a[14], '4');
  EXPECT_FALSE(is_uuid("../../etc/passwd"));
  EXPECT_FALSE(is_uuid("8F056FCE-b04e-4956-99e0-d2f8b9ae909a"));
  EXPECT_EQ(domain_name(15), "instance-0000000f");
  EXPECT_EQ(tap_name("9394db63-c332-48a6-aec5-49a38961580b"), "tap9394db63-c3");
}

TEST(States, RefusalNamesTheState) {
  const auto refused = check_order(Order::kStart, VmState::kActive, TaskState::kNone, "u");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_EQ(refused.error().message, "Cannot 'start' instance u while it is in vm_state active");
  EXPECT_TRUE(check_order(Order::kTerminate, VmState::kError, TaskState::kSpawning, "u"));
}

TEST(Records, InstanceSurvivesTheRoundTrip) {
  Instance i;
  i.uuid = new_uuid();
  i.number = 15;
  i.name = "a \"name\" with <xml> & $(shell)";
  i.flavor.memory_mib = 128;
  i.flavor.extra_specs["hw:cpu_policy"] = "shared";
  i.image.disk_format = DiskFormat::kQcow2;
  i.vm_state = VmState::kActive;
  i.task_state = TaskState::kRebooting;
  i.power_state = PowerState::kRunning;
  i.claim = Claim{2, 128, 1};
  i.fault = Fault{Code::kTimeout, "build/define", "m", {"m", "c"}, "act", 7};
  const auto back = instance_from_json(to_json(i));
  ASSERT_TRUE(back) << back.error().chain();
  EXPECT_EQ(to_json(*back), to_json(i));
}

TEST(Records, LaterStateOfAnInstanceSurvivesTheRoundTrip) {
  Instance i;
  i.uuid = new_uuid();
  i.block_devices = {{.id = new_uuid(), .source = BlockSource::kBlank, .destination = BlockDestination::kLocal, .guest_format = "ext4"}};
  i.local_disks = {{"disk.eph0", "qcow2", DiskFormat::kQcow2, 1 << 30, "/dev/vdb", "ext4"}};
  i.old_flavor = Flavor{.id = "1", .name = "small"};
  i.rescue_image = ImageMeta{.id = new_uuid()};
  i.old_vm_state = VmState::kStopped;
  i.locked_by = "admin";
  i.soft_deleted_us = 5;
  const auto back = instance_from_json(to_json(i));
  ASSERT_TRUE(back) << back.error().chain();
  EXPECT_EQ(to_json(*back), to_json(i));
  EXPECT_EQ(back->local_disks.at(0).format, DiskFormat::kQcow2);
}

TEST(Records, VolumeSurvivesTheRoundTrip) {
  Volume v{.id = new_uuid(), .name = "data", .size_gib = 3, .status = "in-use", .multiattach = true};
  v.attachments = {{new_uuid(), new_uuid(), "host1", "/dev/vdb", 7}};
  v.metadata["a"] = "b";
  const auto back = volume_from_json(to_json(v));
  ASSERT_TRUE(back) << back.error().chain();
  EXPECT_EQ(to_json(*back), to_json(v));
}

TEST(States, EveryOrderHasItsRule) {
  for (int order = 0; order <= static_cast<int>(Order::kSetPassword); ++order) {
    const auto refused = check_order(static_cast<Order>(order), VmState::kDeleted, TaskState::kNone, "u");
    ASSERT_FALSE(refused) << order;
    EXPECT_NE(to_string(static_cast<Order>(order)), "unknown");
  }
}

TEST(Records, WrongTypesNameTheMember) {
  Json json = to_json(Instance{.uuid = new_uuid()});
  json["number"] = "15";
  const auto back = instance_from_json(json);
  ASSERT_FALSE(back);
  EXPECT_NE(back.error().message.find("instance.number"), std::string::npos);
}

}  // namespace
}  // namespace ca
