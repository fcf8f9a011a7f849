#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/core/records_json.h"
#include "agent/core/base64.h"
#include "agent/metadata/instance_metadata.h"
#include "tests/unit/test_data.h"

namespace ca {
namespace {

using test::read_data;

constexpr char kUserData[] = "#!/bin/sh\necho hi\n";

// The instance whose config drive nova 26.2 wrote into tests/data/nova-26.2/configdrive.
MetadataInput nova_input() {
  const Json recorded = Json::parse(read_data("nova-26.2/configdrive/meta_data.json"));
  MetadataInput input;
  input.dhcp_domain = "novalocal";
  input.admin_pass = recorded.at("admin_pass");
  input.random_seed = base64_decode(recorded.at("random_seed").get<std::string>()).value();
  Instance& instance = input.instance;
  instance.uuid = "8f056fce-b04e-4956-99e0-d2f8b9ae909a";
  instance.number = 15;
  instance.name = instance.hostname = "v-configdrive";
  instance.project_id = "78d91e85067c4a7d83bfe4e0fed4cf0a";
  instance.metadata = {{"k1", "v1"}};
  instance.reservation_id = "r-vvcqinmd";
  instance.flavor.name = "t1";
  instance.image.id = "00000001-45c4-45df-a013-0a3992b1cd92";
  instance.user_data = base64_encode(kUserData);
  input.networks = {{.id = "02437e73-8643-4fb5-b4f6-6b0d72c61ec7", .name = "n", .mtu = 1500}};
  input.subnets = {{.id = "11111111-2222-4333-8444-555555555555", .cidr = "10.77.0.0/24", .gateway_ip = "10.77.0.1", .enable_dhcp = false}};
  input.ports = {{.id = "9394db63-c332-48a6-aec5-49a38961580b",
                  .network_id = input.networks[0].id,
                  .mac_address = "fa:16:3e:c8:ce:8b",
                  .fixed_ips = {{input.subnets[0].id, "10.77.0.100"}}}};
  return input;
}

// The same JSON with Python's separators, as nova writes it.
std::string python_style(const std::string& compact) {
  std::string text;
  bool in_string = false;
  for (std::size_t i = 0; i < compact.size(); ++i) {
    text += compact[i];
    if (in_string && compact[i] == '\\') {
      text += compact[++i];
    } else if (compact[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && (compact[i] == ',' || compact[i] == ':')) {
      text += ' ';
    }
  }
  return text;
}

Json parsed(const ConfigDriveFiles& files, const std::string& path) {
  EXPECT_TRUE(files.contains(path)) << path;
  return files.contains(path) ? Json::parse(files.at(path)) : Json();
}

TEST(Metadata, FilesAndSizesOfEveryVersionAreNovas) {
  const auto files = instance_metadata(nova_input());
  ASSERT_TRUE(files) << files.error().chain();
  std::istringstream recorded(read_data("nova-26.2/configdrive/files.txt"));
  std::string path;
  std::size_t size = 0, count = 0;
  while (recorded >> path >> size) {
    ASSERT_TRUE(files->contains(path)) << path;
    const std::string& content = files->at(path);
    const bool json = path.ends_with("meta_data.json") || path.ends_with("meta-data.json") || path.ends_with("network_data.json");
    EXPECT_EQ((json ? python_style(content) : content).size(), size) << path << ": " << content;
    ++count;
  }
  EXPECT_EQ(files->size(), count);
  EXPECT_GT(count, 40U);
}

TEST(Metadata, DocumentsAreNovas) {
  const auto files = instance_metadata(nova_input());
  ASSERT_TRUE(files) << files.error().chain();
  EXPECT_EQ(parsed(*files, "openstack/latest/meta_data.json"), Json::parse(read_data("nova-26.2/configdrive/meta_data.json")));
  EXPECT_EQ(parsed(*files, "openstack/latest/network_data.json"), Json::parse(read_data("nova-26.2/configdrive/network_data.json")));
  EXPECT_EQ(parsed(*files, "ec2/latest/meta-data.json"), Json::parse(read_data("nova-26.2/configdrive/ec2-meta-data.json")));
  EXPECT_EQ(files->at("openstack/latest/user_data"), kUserData);
  EXPECT_EQ(parsed(*files, "openstack/latest/vendor_data.json"), Json::object());
  EXPECT_EQ(files->at("openstack/latest/vendor_data2.json"), "{\"static\": {}}");
}

TEST(Metadata, KeyAppearsInEveryPlaceGuestsLookFor) {
  MetadataInput input = nova_input();
  input.instance.key_name = "mine";
  input.instance.key_data = "ssh-ed25519 AAAA me";
  const auto files = instance_metadata(input);
  ASSERT_TRUE(files) << files.error().chain();
  const Json meta = parsed(*files, "openstack/2012-08-10/meta_data.json");
  EXPECT_EQ(meta.at("public_keys"), (Json{{"mine", "ssh-ed25519 AAAA me"}}));
  EXPECT_EQ(meta.at("keys"), Json::parse(R"([{"name": "mine", "type": "ssh", "data": "ssh-ed25519 AAAA me"}])"));
  EXPECT_EQ(parsed(*files, "ec2/2009-04-04/meta-data.json").at("public-keys"),
            Json::parse(R"({"0": {"openssh-key": "ssh-ed25519 AAAA me"}})"));
}

TEST(Metadata, WhatIsNotGivenIsLeftOut) {
  MetadataInput input = nova_input();
  input.instance.user_data.clear();
  input.instance.metadata.clear();
  input.admin_pass.clear();
  input.dhcp_domain.clear();
  input.ports.clear();
  const auto files = instance_metadata(input);
  ASSERT_TRUE(files) << files.error().chain();
  EXPECT_FALSE(files->contains("openstack/latest/user_data"));
  EXPECT_FALSE(files->contains("ec2/latest/user-data"));
  const Json meta = parsed(*files, "openstack/latest/meta_data.json");
  for (const char* name : {"meta", "admin_pass", "public_keys", "keys"}) EXPECT_FALSE(meta.contains(name)) << name;
  EXPECT_EQ(meta.at("hostname"), "v-configdrive");
  EXPECT_EQ(parsed(*files, "openstack/latest/network_data.json"), Json::object());
  EXPECT_TRUE(parsed(*files, "ec2/latest/meta-data.json").at("local-ipv4").is_null());
}

TEST(Metadata, SubnetsWithDhcpAreShownAsNovaShowsThem) {
  MetadataInput input = nova_input();
  input.subnets[0].enable_dhcp = true;
  input.subnets[0].dns_nameservers = {"192.0.2.53"};
  const auto files = instance_metadata(input);
  ASSERT_TRUE(files) << files.error().chain();
  EXPECT_EQ(parsed(*files, "openstack/latest/network_data.json"), Json::parse(R"({
    "links": [{"id": "tap9394db63-c3", "vif_id": "9394db63-c332-48a6-aec5-49a38961580b", "type": "bridge", "mtu": null,
               "ethernet_mac_address": "fa:16:3e:c8:ce:8b"}],
    "networks": [{"id": "network0", "type": "ipv4_dhcp", "link": "tap9394db63-c3",
                  "network_id": "02437e73-8643-4fb5-b4f6-6b0d72c61ec7"}],
    "services": [{"type": "dns", "address": "192.0.2.53"}]})"));
}

TEST(Metadata, BothAddressFamiliesAndSeveralPortsAreShown) {
  MetadataInput input = nova_input();
  input.subnets.push_back({.id = "66666666-2222-4333-8444-555555555555",
                           .ip_version = 6,
                           .cidr = "2001:db8:1::/64",
                           .gateway_ip = "2001:db8:1::1",
                           .enable_dhcp = false,
                           .dns_nameservers = {"2001:db8::53", "192.0.2.53"}});
  input.subnets[0].dns_nameservers = {"192.0.2.53"};
  input.subnets[0].cidr = "10.77.0.0/20";
  input.subnets[0].gateway_ip.clear();
  input.ports[0].fixed_ips.push_back({input.subnets[1].id, "2001:db8:1::5"});
  Port second = input.ports[0];
  second.id = "aaaaaaaa-c332-48a6-aec5-49a38961580b";
  second.fixed_ips = {{input.subnets[1].id, "2001:db8:1::6"}};
  input.ports.push_back(second);
  const auto files = instance_metadata(input);
  ASSERT_TRUE(files) << files.error().chain();
  const Json data = parsed(*files, "openstack/latest/network_data.json");
  ASSERT_EQ(data.at("links").size(), 2U);
  ASSERT_EQ(data.at("networks").size(), 3U);
  EXPECT_EQ(data["networks"][0]["netmask"], "255.255.240.0");
  EXPECT_EQ(data["networks"][0]["routes"], Json::array());
  EXPECT_EQ(data["networks"][1]["id"], "network1");
  EXPECT_EQ(data["networks"][1]["type"], "ipv6");
  EXPECT_EQ(data["networks"][1]["netmask"], "ffff:ffff:ffff:ffff::");
  EXPECT_EQ(data["networks"][1]["routes"], Json::parse(R"([{"network": "::", "netmask": "::", "gateway": "2001:db8:1::1"}])"));
  EXPECT_EQ(data["networks"][2]["link"], "tapaaaaaaaa-c3");
  EXPECT_EQ(data["services"].size(), 2U);
}

TEST(Metadata, PortsThatNameNothingKnownAreRefused) {
  MetadataInput input = nova_input();
  input.subnets.clear();
  auto files = instance_metadata(input);
  ASSERT_FALSE(files);
  EXPECT_NE(files.error().message.find("names subnet 11111111-2222-4333-8444-555555555555"), std::string::npos);
  input = nova_input();
  input.networks.clear();
  files = instance_metadata(input);
  ASSERT_FALSE(files);
  EXPECT_NE(files.error().message.find("names network 02437e73"), std::string::npos);
  input = nova_input();
  for (const char* cidr : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8x"}) {
    input.subnets[0].cidr = cidr;
    EXPECT_FALSE(instance_metadata(input)) << cidr;
  }
}

TEST(Metadata, UserDataIsBoundedAndStrict) {
  MetadataInput input = nova_input();
  input.instance.user_data = "not base64!";
  auto files = instance_metadata(input);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Code::kInvalid);
  input.instance.user_data = std::string(65536, 'A');
  files = instance_metadata(input);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Code::kTooLarge);
  input.instance.user_data = std::string(65532, 'A');
  EXPECT_TRUE(instance_metadata(input));
  input.instance.metadata["big"] = std::string(2 << 20, 'x');
  files = instance_metadata(input);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Code::kTooLarge);
}

TEST(Metadata, TextThatIsNoUtf8DoesNotBreakTheDocument) {
  MetadataInput input = nova_input();
  input.instance.name = "a\xff\"\\\n</x>";
  const auto files = instance_metadata(input);
  ASSERT_TRUE(files) << files.error().chain();
  EXPECT_EQ(parsed(*files, "openstack/latest/meta_data.json").at("name"), "a\xEF\xBF\xBD\"\\\n</x>");
}

TEST(Base64, KnownValuesOfRfc4648) {
  const std::vector<std::pair<std::string, std::string>> known{
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : known) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text).value(), bytes);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(base64_decode(base64_encode(all)).value(), all);
}

TEST(Base64, AnythingElseIsRefused) {
  for (const char* bad : {"Z", "Zg", "Zg=", "Zg=a", "=", "====", "Z===", "Zm9v\n", "Zm 9", "Zh==", "Zm9=", "Zm-_", "Zg==Zg=="}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
}

}  // namespace
}  // namespace ca
