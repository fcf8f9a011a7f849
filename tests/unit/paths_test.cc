#include <gtest/gtest.h>

#include "agent/config/paths.h"

namespace ca {
namespace {

Paths nova_paths() {
  Config config;
  config.instances_path = "/var/lib/nova/instances";
  config.state_path = "/var/lib/nova";
  config.data_path = "/var/lib/compute-agent";
  config.token_file = "/etc/token";
  return Paths(config);
}

TEST(Paths, TreeIsNovas) {
  const Paths paths = nova_paths();
  const Uuid id = "8f056fce-b04e-4956-99e0-d2f8b9ae909a";
  const std::string dir = "/var/lib/nova/instances/" + id;
  EXPECT_EQ(paths.instance_dir(id), dir);
  EXPECT_EQ(paths.disk(id), dir + "/disk");
  EXPECT_EQ(paths.config_drive(id), dir + "/disk.config");
  EXPECT_EQ(paths.disk_info(id), dir + "/disk.info");
  EXPECT_EQ(paths.console_log(id), dir + "/console.log");
  EXPECT_EQ(paths.record_copy(id), dir + "/instance.json");
  EXPECT_EQ(paths.base_dir(), "/var/lib/nova/instances/_base");
  EXPECT_EQ(paths.locks_dir(), "/var/lib/nova/instances/locks");
  EXPECT_EQ(paths.networks_dir(), "/var/lib/nova/networks");
}

// Image and file name as nova-compute 26.2.2 had them.
TEST(Paths, CachedImageHasTheNameNovaGivesIt) {
  EXPECT_EQ(nova_paths().base_image("c1122974-45c4-45df-a013-0a3992b1cd92"),
            "/var/lib/nova/instances/_base/50fdfb480fc0dda182ac0a46d70489ed8120c7aa");
}

TEST(Paths, OurOwnDataIsUnderDataPath) {
  const Paths paths = nova_paths();
  EXPECT_EQ(paths.database(), "/var/lib/compute-agent/agent.db");
  EXPECT_EQ(paths.token_file(), "/etc/token");
  EXPECT_EQ(paths.stored_image("c1122974-45c4-45df-a013-0a3992b1cd92"),
            "/var/lib/compute-agent/images/c1122974-45c4-45df-a013-0a3992b1cd92");
}

TEST(PathsDeathTest, AnIdThatIsNoUuidEndsTheProgram) {
  const Paths paths = nova_paths();
  EXPECT_DEATH((void)paths.instance_dir("../../etc"), "'../../etc' is not a uuid");
  EXPECT_DEATH((void)paths.base_image(""), "is not a uuid");
  EXPECT_DEATH((void)paths.stored_image("8F056FCE-B04E-4956-99E0-D2F8B9AE909A"), "is not a uuid");
}

}  // namespace
}  // namespace ca
