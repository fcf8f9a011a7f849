// What is decided about resizes and about what ends by itself, without a host.
#include <gtest/gtest.h>

#include "agent/expiry.h"
#include "agent/verbs/life.h"

namespace ca {
namespace {

constexpr std::int64_t kUs = 1'000'000;

Flavor flavor(const std::string& id, std::int64_t root_gib) {
  Flavor flavor;
  flavor.id = flavor.name = id;
  flavor.memory_mib = 512;
  flavor.root_gib = root_gib;
  return flavor;
}

Instance with(const Flavor& flavor) {
  Instance instance;
  instance.flavor = flavor;
  instance.image.virtual_size_bytes = std::int64_t{2} << 30;
  return instance;
}

std::string refusal(const Instance& instance, const Flavor& flavor) {
  const auto checked = check_resize(instance, flavor);
  return checked ? "" : checked.error().message;
}

TEST(CheckResize, DisksNeverShrink) {
  EXPECT_EQ(refusal(with(flavor("a", 5)), flavor("b", 5)), "");
  EXPECT_EQ(refusal(with(flavor("a", 5)), flavor("b", 6)), "");
  EXPECT_NE(refusal(with(flavor("a", 5)), flavor("b", 4)).find("Unable to resize disk down"), std::string::npos);
  EXPECT_EQ(refusal(with(flavor("a", 5)), flavor("b", 0)), "Resize to zero disk flavor is not allowed.");
  EXPECT_EQ(refusal(with(flavor("a", 0)), flavor("b", 0)), "");
  EXPECT_NE(refusal(with(flavor("a", 0)), flavor("b", 1)).find("Unable to resize disk down"), std::string::npos)
      << "a disk of no GiB is as large as the image";
  EXPECT_EQ(refusal(with(flavor("a", 5)), flavor("a", 5)), "When resizing, instances must change flavor!");
  Instance larger = with(flavor("a", 5));
  larger.flavor.ephemeral_gib = 2;
  EXPECT_NE(refusal(larger, flavor("b", 5)).find("ephemeral"), std::string::npos);
}

TEST(CheckResize, AnInstanceOnAVolumeMayHaveAFlavorWithoutDisk) {
  Instance on_volume = with(flavor("a", 5));
  on_volume.block_devices.push_back({.boot_index = 0});
  EXPECT_EQ(refusal(on_volume, flavor("b", 0)), "");
}

TEST(CheckResize, TheImagesLeastMemoryHolds) {
  Instance instance = with(flavor("a", 5));
  instance.image.min_ram_mib = 1024;
  EXPECT_NE(refusal(instance, flavor("b", 5)).find("1024 MiB"), std::string::npos);
}

class ExpiryTest : public ::testing::Test {
 protected:
  static std::shared_ptr<Instance> soft_deleted(std::int64_t at_us) {
    auto instance = std::make_shared<Instance>();
    instance->uuid = "deleted";
    instance->vm_state = VmState::kSoftDeleted;
    instance->task_state = TaskState::kNone;
    instance->soft_deleted_us = at_us;
    return instance;
  }
  static std::shared_ptr<Instance> resized(std::int64_t at_us) {
    auto instance = std::make_shared<Instance>();
    instance->uuid = "resized";
    instance->vm_state = VmState::kResized;
    instance->task_state = TaskState::kNone;
    instance->system_metadata["resized_us"] = std::to_string(at_us);
    return instance;
  }
  [[nodiscard]] std::vector<std::string> due(std::int64_t now_us) const {
    std::vector<std::string> names;
    for (const Due& one : due_instances(config, instances, now_us)) names.push_back(one.uuid + (one.reclaim ? " reclaim" : " confirm"));
    return names;
  }

  Config config;
  std::vector<std::shared_ptr<const Instance>> instances{soft_deleted(100 * kUs), resized(200 * kUs)};
};

TEST_F(ExpiryTest, NothingIsDueWithoutTheOptions) {
  EXPECT_TRUE(due(INT64_MAX / 2).empty());
  EXPECT_EQ(expiry_interval(config).count(), 0);
}

TEST_F(ExpiryTest, EachIsDueAfterItsOwnTime) {
  config.reclaim_instance_interval = 50;
  config.resize_confirm_window = 10;
  EXPECT_EQ(due(150 * kUs - 1), std::vector<std::string>{});
  EXPECT_EQ(due(150 * kUs), std::vector<std::string>{"deleted reclaim"});
  EXPECT_EQ(due(210 * kUs), (std::vector<std::string>{"deleted reclaim", "resized confirm"}));
}

TEST_F(ExpiryTest, WhereATaskIsUnderWayNothingIsDue) {
  config.reclaim_instance_interval = 50;
  auto restoring = soft_deleted(100 * kUs);
  restoring->task_state = TaskState::kRestoring;
  instances = {restoring};
  EXPECT_TRUE(due(1000 * kUs).empty());
}

TEST_F(ExpiryTest, ItIsLookedATenthOfTheShortestTimeApart) {
  config.reclaim_instance_interval = 600;
  EXPECT_EQ(expiry_interval(config), std::chrono::seconds(60));
  config.resize_confirm_window = 100;
  EXPECT_EQ(expiry_interval(config), std::chrono::seconds(10));
  config.resize_confirm_window = 1;
  EXPECT_EQ(expiry_interval(config), std::chrono::milliseconds(500));
}

}  // namespace
}  // namespace ca
