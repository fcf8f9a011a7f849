#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "drivers/network/bridge/dhcp_release.h"
#include "drivers/network/bridge/network_plan.h"

namespace ca::net {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kId = "22222222-1111-4111-8111-111111111111";

Network nat_network() { return {.id = kId, .name = "<evil & name>", .kind = NetworkKind::kNat, .mtu = 1450}; }

Subnet subnet4() {
  return {.id = "33333333-1111-4111-8111-111111111111",
          .network_id = kId,
          .cidr = "10.77.0.0/24",
          .gateway_ip = "10.77.0.1",
          .allocation_pools = {{"10.77.0.2", "10.77.0.254"}},
          .dns_nameservers = {"9.9.9.9"}};
}

TEST(Address, PrefixesOverlapWhenOneHoldsTheOther) {
  const auto prefix = [](const char* text) { return *parse_prefix(text); };
  EXPECT_TRUE(prefix("10.0.0.0/8").overlaps(prefix("10.77.0.1/24")));
  EXPECT_TRUE(prefix("10.77.0.1/24").overlaps(prefix("10.0.0.0/8")));
  EXPECT_FALSE(prefix("10.77.0.0/24").overlaps(prefix("10.77.1.0/24")));
  EXPECT_FALSE(prefix("0.0.0.0/0").overlaps(prefix("::/0")));
  EXPECT_TRUE(prefix("fd00::/64").overlaps(prefix("fd00::1/128")));
  EXPECT_EQ(prefix("10.77.3.9/22").text(), "10.77.0.0/22");
}

TEST(Address, ParsingIsStrict) {
  for (const char* bad : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0/8", "/8", "fd00::/129", "10.0.0.0/ 8", ""}) {
    EXPECT_FALSE(parse_prefix(bad)) << bad;
  }
}

TEST(NetworkPlan, WhatIsWrittenReadsBackAsTheSamePlan) {
  Subnet v6{
      .id = "44444444-1111-4111-8111-111111111111", .network_id = kId, .ip_version = 6, .cidr = "fd00:77::/64", .gateway_ip = "fd00:77::1"};
  const auto plan = plan_network(nat_network(), {subnet4(), v6}, "br22222222-11", "novalocal", "/hosts");
  ASSERT_TRUE(plan) << plan.error().chain();
  const std::string xml = network_xml(*plan);
  const auto seen = read_network_xml(xml);
  ASSERT_TRUE(seen);
  EXPECT_EQ(*seen, *plan) << xml;
  EXPECT_THAT(xml, HasSubstr("<nat ipv6=\"yes\""));
  EXPECT_THAT(xml, HasSubstr("localOnly=\"yes\""));
  EXPECT_THAT(xml, HasSubstr("dhcp-hostsdir=/hosts"));
  EXPECT_THAT(xml, Not(HasSubstr("evil"))) << "a user's text has no business in it";
}

TEST(NetworkPlan, AnIsolatedNetworkForwardsNothing) {
  Network network = nat_network();
  network.kind = NetworkKind::kIsolated;
  const auto plan = plan_network(network, {subnet4()}, "br", "novalocal", "/hosts");
  ASSERT_TRUE(plan);
  EXPECT_THAT(network_xml(*plan), Not(HasSubstr("<forward ")));
}

TEST(NetworkPlan, BadSubnetsAreRefusedWithTheValue) {
  const auto error_of = [](auto&& change) {
    Subnet subnet = subnet4();
    change(subnet);
    const auto plan = plan_network(nat_network(), {subnet}, "br", "d", "/hosts");
    return plan ? Error{} : plan.error();
  };
  EXPECT_THAT(error_of([](Subnet& s) { s.cidr = "10.77.0.0/40"; }).message, HasSubstr("10.77.0.0/40"));
  EXPECT_THAT(error_of([](Subnet& s) { s.gateway_ip = "10.78.0.1"; }).message, HasSubstr("10.78.0.1"));
  EXPECT_THAT(error_of([](Subnet& s) { s.gateway_ip = ""; }).message, HasSubstr("gateway_ip ''"));
  EXPECT_THAT(error_of([](Subnet& s) { s.allocation_pools = {{"10.77.0.9", "10.77.0.2"}}; }).message, HasSubstr("10.77.0.9-10.77.0.2"));
  EXPECT_THAT(error_of([](Subnet& s) { s.allocation_pools = {{"10.77.0.2", "10.78.0.2"}}; }).message, HasSubstr("10.78.0.2"));
  EXPECT_THAT(error_of([](Subnet& s) { s.allocation_pools.clear(); }).message, HasSubstr("no allocation pool"));
  EXPECT_THAT(error_of([](Subnet& s) { s.dns_nameservers = {"dns.example"}; }).message, HasSubstr("dns.example"));
  EXPECT_EQ(error_of([](Subnet& s) { s.ip_version = 6; }).code, Code::kInvalid);
}

TEST(NetworkPlan, TwoDhcpSubnetsOfIpv4AreRefused) {
  Subnet second = subnet4();
  second.cidr = "10.78.0.0/24";
  second.gateway_ip = "10.78.0.1";
  second.allocation_pools = {{"10.78.0.2", "10.78.0.9"}};
  EXPECT_EQ(plan_network(nat_network(), {subnet4(), second}, "br", "d", "/hosts").error().code, Code::kInvalid);
  second.enable_dhcp = false;
  EXPECT_TRUE(plan_network(nat_network(), {subnet4(), second}, "br", "d", "/hosts"));
}

TEST(DhcpRelease, ThePacketIsRfc2131s) {
  const auto packet = dhcp_release_packet("10.77.0.1", "10.77.0.5", "fa:16:3e:00:00:0a");
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->substr(0, 3), std::string("\x01\x01\x06"));
  EXPECT_EQ(packet->substr(12, 4), std::string("\x0a\x4d\x00\x05", 4)) << "ciaddr";
  EXPECT_EQ(packet->substr(28, 6), std::string("\xfa\x16\x3e\x00\x00\x0a", 6)) << "chaddr";
  EXPECT_EQ(packet->substr(236, 4), "\x63\x82\x53\x63") << "magic cookie";
  EXPECT_EQ(packet->substr(240, 10), std::string("\x35\x01\x07\x36\x04\x0a\x4d\x00\x01\xff", 10)) << "release, server id, end";
}

TEST(DhcpRelease, RefusesWhatIsNoAddressOrMac) {
  EXPECT_FALSE(dhcp_release_packet("10.77.0.1", "fd00::1", "fa:16:3e:00:00:0a"));
  EXPECT_FALSE(dhcp_release_packet("10.77.0.1", "10.77.0.5", "fa:16:3e:00:00"));
  EXPECT_FALSE(dhcp_release_packet("10.77.0.1", "10.77.0.5", "fa:16:3e:00:00:zz"));
}

}  // namespace
}  // namespace ca::net
