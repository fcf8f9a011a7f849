#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "agent/resources/claims.h"

namespace ca {
namespace {

const Uuid kA = "aaaaaaaa-0000-4000-8000-000000000000";
const Uuid kB = "bbbbbbbb-0000-4000-8000-000000000000";

HostCapacity host() {
  return {.vcpus = {.total = 4, .reserved = 0, .ratio = 4.0},
          .memory_mib = {.total = 2048, .reserved = 512, .ratio = 1.0},
          .disk_gib = {.total = 100, .reserved = 10, .ratio = 1.5}};
}

TEST(Inventory, CapacityIsPlacementsFormula) {
  EXPECT_EQ((Inventory{2048, 512, 1.5}.capacity()), 2304);
  EXPECT_EQ((Inventory{3, 0, 0.5}.capacity()), 1);
  EXPECT_EQ((Inventory{100, 100, 4.0}.capacity()), 0);
  EXPECT_EQ((Inventory{100, 200, 4.0}.capacity()), 0);
  EXPECT_GT((Inventory{INT64_MAX, 0, 16.0}.capacity()), 0);
}

TEST(Inventory, ReservedDiskIsRoundedUp) {
  EXPECT_EQ(reserved_disk_gib(0), 0);
  EXPECT_EQ(reserved_disk_gib(1), 1);
  EXPECT_EQ(reserved_disk_gib(1024), 1);
  EXPECT_EQ(reserved_disk_gib(1025), 2);
}

TEST(ClaimTable, FitsExactlyUpToTheCapacity) {
  ClaimTable table(host());
  EXPECT_TRUE(table.try_claim(kA, {4, 1000, 100}));
  EXPECT_TRUE(table.try_claim(kB, {4, 536, 35}));
  EXPECT_FALSE(table.try_claim("c", {0, 1, 0}));
  EXPECT_FALSE(table.try_claim("c", {0, 0, 1}));
  EXPECT_TRUE(table.try_claim("c", {4, 0, 0}));
  EXPECT_TRUE(table.try_claim("d", {4, 0, 0}));
  EXPECT_FALSE(table.try_claim("e", {1, 0, 0}));
  const ClaimUsage usage = table.usage();
  EXPECT_EQ(usage.used.vcpus, 16);
  EXPECT_EQ(usage.used.memory_mib, 1536);
  EXPECT_EQ(usage.used.disk_gib, 135);
  EXPECT_EQ(usage.instances, 4);
}

TEST(ClaimTable, AChangeAsksOnlyForWhatGrows) {
  ClaimTable table(host());
  ASSERT_TRUE(table.try_claim(kA, {4, 1000, 100}));
  ASSERT_TRUE(table.try_claim(kB, {4, 536, 35}));
  EXPECT_EQ(table.change(kA, {4, 1001, 100}).error().code, Code::kNoResources);
  EXPECT_EQ(table.find(kA)->memory_mib, 1000) << "a refused change leaves the claim";
  table.set_host({.vcpus = {.total = 1}, .memory_mib = {.total = 1}, .disk_gib = {.total = 1}});
  EXPECT_TRUE(table.change(kA, {4, 900, 100})) << "what does not grow is not asked for, on a full host too";
  EXPECT_EQ(table.usage().used.memory_mib, 1436);
  EXPECT_EQ(table.change(kA, {-1, 1, 1}).error().code, Code::kInvalid);
}

TEST(ClaimTable, RefusalHasTheNumbersOfEverythingThatIsShort) {
  ClaimTable table(host());
  ASSERT_TRUE(table.try_claim(kA, {1, 1436, 100}));
  const auto refused = table.try_claim(kB, {1, 128, 50});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kNoResources);
  EXPECT_EQ(refused.error().message,
            "instance " + kB +
                " does not fit on this host: memory: 128 MiB asked, 100 MiB free of 2048 MiB (ratio 1, reserved 512 MiB, used 1436 "
                "MiB); disk: 50 GiB asked, 35 GiB free of 100 GiB (ratio 1.5, reserved 10 GiB, used 100 GiB)");
  EXPECT_FALSE(table.find(kB));
}

TEST(ClaimTable, OneInstanceNeverGetsMoreThanTheHostHas) {
  ClaimTable table(host());
  const auto refused = table.try_claim(kA, {5, 1, 1});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("vCPUs: 5 CPUs asked for one instance, the host has 4 CPUs"), std::string::npos);
  EXPECT_FALSE(table.try_claim(kA, {1, INT64_MAX, 1}));
}

TEST(ClaimTable, TheSameClaimTwiceCountsOnce) {
  ClaimTable table(host());
  ASSERT_TRUE(table.try_claim(kA, {1, 1000, 1}));
  EXPECT_TRUE(table.try_claim(kA, {1, 1000, 1}));
  EXPECT_EQ(table.usage().used.memory_mib, 1000);
  const auto other = table.try_claim(kA, {2, 1000, 1});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kConflict);
  EXPECT_EQ(table.find(kA)->vcpus, 1);
}

TEST(ClaimTable, NegativeAmountsAreRefused) {
  ClaimTable table(host());
  const auto refused = table.try_claim(kA, {1, -1, 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
}

TEST(ClaimTable, ReleasedRoomIsFreeAgain) {
  ClaimTable table(host());
  ASSERT_TRUE(table.try_claim(kA, {1, 1536, 1}));
  EXPECT_FALSE(table.try_claim(kB, {1, 1, 1}));
  table.release(kA);
  table.release(kA);
  EXPECT_TRUE(table.try_claim(kB, {1, 1536, 1}));
  EXPECT_EQ(table.usage().instances, 1);
}

TEST(ClaimTable, RestoredClaimsCountEvenWhereTheyNoLongerFit) {
  ClaimTable table(host());
  ASSERT_TRUE(table.try_claim("old", {1, 1, 1}));
  table.restore({{kA, {4, 1500, 10}}, {kB, {4, 1500, 10}}});
  EXPECT_EQ(table.usage().used.memory_mib, 3000);
  EXPECT_FALSE(table.find("old"));
  const auto refused = table.try_claim("c", {1, 1, 1});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("0 MiB free"), std::string::npos);
  table.restore({{kA, {INT64_MAX, INT64_MAX, INT64_MAX}}, {kB, {INT64_MAX, INT64_MAX, INT64_MAX}}});
  EXPECT_EQ(table.usage().used.memory_mib, INT64_MAX);
  EXPECT_FALSE(table.try_claim("c", {1, 1, 1}));
}

TEST(ClaimTable, AHostThatGrowsTakesMore) {
  ClaimTable table(host());
  ASSERT_TRUE(table.try_claim(kA, {1, 1536, 1}));
  ASSERT_FALSE(table.try_claim(kB, {1, 1, 1}));
  HostCapacity grown = host();
  grown.memory_mib.total = 4096;
  table.set_host(grown);
  EXPECT_TRUE(table.try_claim(kB, {1, 1, 1}));
}

TEST(ClaimTable, ManyThreadsNeverPromiseMoreThanThereIs) {
  ClaimTable table({.vcpus = {1000, 0, 1.0}, .memory_mib = {1000, 0, 1.0}, .disk_gib = {1000, 0, 1.0}});
  std::atomic<int> granted = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        if (table.try_claim(std::to_string(t * 1000 + i), {1, 10, 1})) ++granted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(granted, 100);
  EXPECT_EQ(table.usage().used.memory_mib, 1000);
}

}  // namespace
}  // namespace ca
