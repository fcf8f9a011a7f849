#include <gtest/gtest.h>

#include "drivers/disk/rbd/names.h"
#include "drivers/disk/rbd/rbd_module.h"

namespace ca::rbd {
namespace {

std::string hosts(std::string_view mon_host) {
  std::string text;
  for (const auto& host : parse_monitors(mon_host)) text += host.name + "|" + host.port + " ";
  return text;
}

TEST(RbdNames, MonitorsAreReadInEveryFormOfMonHost) {
  EXPECT_EQ(hosts("10.0.0.1"), "10.0.0.1| ");
  EXPECT_EQ(hosts("10.0.0.1, 10.0.0.2:6790"), "10.0.0.1| 10.0.0.2|6790 ");
  EXPECT_EQ(hosts("[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0],[v2:10.0.0.2:3300/0,v1:10.0.0.2:6789/0]"), "10.0.0.1|6789 10.0.0.2|6789 ");
  EXPECT_EQ(hosts("[v2:10.0.0.1:3300/0] v1:10.0.0.2:6789"), "10.0.0.1|3300 10.0.0.2|6789 ");
  EXPECT_EQ(hosts("[fd00::1]:6789;mon-b.example"), "fd00::1|6789 mon-b.example| ");
}

TEST(RbdNames, MonitorsThatMakeNoSenseAreLeftToQemu) {
  for (const char* text : {"", "[", "[]", "10.0.0.1:port", "10.0.0.1,$(reboot)", "a b'c", "10.0.0.1:678901"})
    EXPECT_EQ(hosts(text), "") << text;
}

TEST(RbdNames, TheHostOfAClientIsReadFromItsAddress) {
  EXPECT_EQ(ip_of("10.0.0.5:0/3123"), "10.0.0.5");
  EXPECT_EQ(ip_of("v1:10.0.0.5:0/3123"), "10.0.0.5");
  EXPECT_EQ(ip_of("[v2:10.0.0.5:0/3123,v1:10.0.0.5:0/3123]"), "10.0.0.5");
  EXPECT_EQ(ip_of("[fd00::5]:0/3123"), "fd00::5");
  EXPECT_EQ(ip_of("-"), "-");
  EXPECT_EQ(ip_of(""), "");
}

TEST(RbdNames, LocationsAreReadBackAsTheyWereWritten) {
  const Location location{"2d2c5f2e-0a3b-4c7e-9a55-0b1f1e2d3c4b", "images", "6f0e7b1a-7d8e-4f43-9d4e-0b7d2c1a9e10", "snap"};
  const auto read = parse_location(to_text(location));
  ASSERT_TRUE(read) << read.error().chain();
  EXPECT_EQ(to_text(*read), to_text(location));
  EXPECT_EQ(read->image, location.image);
}

TEST(RbdNames, LocationsAndAddressesOfOtherFormsAreRefused) {
  for (const char* text :
       {"", "rbd://", "rbd://a/b/c", "rbd://a/b/c/d/e", "rbd://a/../c/d", "rbd://a//c/d", "http://a/b/c/d", "rbd://a/b/c/d:e"}) {
    EXPECT_FALSE(parse_location(text)) << text;
  }
  for (const char* text : {"", "vms", "vms/", "/x", "vms/a/b", "vms/..", "vms/a@b", "vms/a:conf=x", "v ms/a"})
    EXPECT_FALSE(parse_address(text)) << text;
  EXPECT_TRUE(parse_address("vms/6f0e7b1a-7d8e-4f43-9d4e-0b7d2c1a9e10_disk.eph0"));
}

TEST(RbdNames, OnlyTheUsersOwnKeyIsTakenFromAKeyring) {
  const char* keyring = "[client.admin]\n\tkey = AAA=\n\tcaps mon = \"allow *\"\n# key = CCC=\n[client.agent]\n  key=BBB==\r\n";
  EXPECT_EQ(key_in_keyring(keyring, "client.agent"), "BBB==");
  EXPECT_EQ(key_in_keyring(keyring, "client.admin"), "AAA=");
  EXPECT_EQ(key_in_keyring(keyring, "client.age"), std::nullopt);
  EXPECT_EQ(key_in_keyring("", "client.agent"), std::nullopt);
}

TEST(RbdHelper, ThatIsMissingSaysWhatToInstall) {
  const auto rbd = start_rbd("/nonexistent", {});
  ASSERT_FALSE(rbd);
  EXPECT_EQ(rbd.error().code, Code::kUnavailable);
  EXPECT_NE(rbd.error().action().find("librbd1"), std::string::npos) << rbd.error().action();
}

}  // namespace
}  // namespace ca::rbd
