// The bridge driver's decisions, over a libvirt and a kernel in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <stdexcept>

#include "drivers/network/bridge/bridge_network.h"
#include "drivers/network/bridge/network_plan.h"

namespace ca {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr const char* kId = "22222222-1111-4111-8111-111111111111";
constexpr const char* kBridge = "br22222222-11";
constexpr const char* kPort = "55555555-1111-4111-8111-111111111111";

// Networks as libvirt keeps them.
class MemoryNetworks final : public HostNetworks {
 public:
  struct Entry {
    HostNetwork seen;
    net::NetworkPlan plan;
  };

  Result<std::vector<HostNetwork>> list() override {
    std::vector<HostNetwork> all;
    for (const auto& [uuid, entry] : entries) all.push_back(entry.seen);
    return all;
  }
  Result<HostNetwork> find(const std::string& uuid) override {
    if (!entries.contains(uuid)) return fail(Code::kNotFound, "no network");
    return entries[uuid].seen;
  }
  Result<std::string> xml(const std::string& uuid) override {
    if (!entries.contains(uuid)) return fail(Code::kNotFound, "no network");
    return net::network_xml(entries[uuid].plan);
  }
  Result<void> define(const std::string& xml) override {
    ++defines;
    CA_TRY(auto plan, net::read_network_xml(xml));
    auto& entry = entries[plan.uuid];
    entry.seen.uuid = plan.uuid;
    entry.seen.name = plan.name;
    entry.plan = std::move(plan);
    return {};
  }
  Result<void> start(const std::string& uuid) override {
    ++starts;
    if (while_starting) std::exchange(while_starting, {})();
    if (!start_error.message.empty()) return tl::unexpected<Error>(start_error);
    entries[uuid].seen.active = true;
    return {};
  }
  Result<void> set_autostart(const std::string& uuid) override {
    entries[uuid].seen.autostart = true;
    return {};
  }
  Result<void> destroy(const std::string& uuid) override {
    if (entries.contains(uuid)) entries[uuid].seen.active = false;
    return {};
  }
  Result<void> undefine(const std::string& uuid) override {
    entries.erase(uuid);
    return {};
  }
  Result<void> add_name(const std::string&, const std::string& ip_address, const std::string& name) override {
    return names.emplace(ip_address, name).second ? Result<void>{} : fail(Code::kConflict, "there is one already");
  }
  Result<void> remove_name(const std::string&, const std::string& ip_address) override {
    return names.erase(ip_address) == 1 ? Result<void>{} : fail(Code::kConflict, "there is none");
  }
  Result<std::vector<DhcpLease>> leases(const std::string&) override { return given; }

  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> names;
  std::vector<DhcpLease> given;
  Error start_error;
  int defines = 0, starts = 0;
  std::function<void()> while_starting;
};

struct MemoryLinks final : HostLinks {
  Result<std::vector<HostRoute>> routes() override { return all_routes; }
  bool is_bridge(const std::string& name) override { return bridges.contains(name); }
  Result<std::vector<std::string>> bridge_ports(const std::string& bridge) override { return bridges[bridge]; }
  Result<void> remove_bridge(const std::string& name) override {
    bridges.erase(name);
    return {};
  }
  Result<void> remove_tap(const std::string& name) override {
    removed_taps.push_back(name);
    return {};
  }
  Result<void> release_lease(const std::string& bridge, const std::string& server, const std::string& ip, const std::string& mac) override {
    released.push_back(bridge + " " + server + " " + ip + " " + mac);
    return {};
  }

  std::vector<HostRoute> all_routes;
  std::map<std::string, std::vector<std::string>> bridges;
  std::vector<std::string> removed_taps, released;
};

class BridgeNetworkTest : public testing::Test {
 protected:
  BridgeNetworkTest() {
    auto owned = std::make_unique<MemoryLinks>();
    links = owned.get();
    driver = make_bridge_network_driver(networks, {.networks_path = root}, std::move(owned));
    port.id = kPort;
    port.mac_address = "fa:16:3e:00:00:01";
    port.fixed_ips = {{subnet.id, "10.77.0.5"}};
  }
  ~BridgeNetworkTest() override { std::filesystem::remove_all(root); }
  void route(const char* cidr, const char* interface) { links->all_routes.push_back({*net::parse_prefix(cidr), interface}); }
  Result<void> ensure() { return driver->ensure(network, {subnet}); }
  // The DHCP entries: file name to content.
  std::map<std::string, std::string> entries() const {
    std::map<std::string, std::string> all;
    std::error_code ignored;
    for (const auto& file : std::filesystem::directory_iterator(root + "/" + kId, ignored)) {
      std::ifstream in(file.path());
      all[file.path().filename()] = std::string(std::istreambuf_iterator<char>(in), {});
    }
    return all;
  }

  // Below /var/tmp, which every user may pass; the driver insists on it.
  static std::string make_root() {
    std::string name = "/var/tmp/bridge-network-test.XXXXXX";
    if (::mkdtemp(name.data()) == nullptr || ::chmod(name.c_str(), 0755) != 0) throw std::runtime_error("no temporary directory");
    return name;
  }

  const std::string root = make_root();
  MemoryNetworks networks;
  MemoryLinks* links = nullptr;
  std::unique_ptr<NetworkDriver> driver;
  Network network{.id = kId, .name = "demo", .kind = NetworkKind::kNat};
  Subnet subnet{.id = "33333333-1111-4111-8111-111111111111",
                .network_id = kId,
                .cidr = "10.77.0.0/24",
                .gateway_ip = "10.77.0.1",
                .allocation_pools = {{"10.77.0.2", "10.77.0.254"}}};
  Port port;
  std::future<Result<void>> second;
};

TEST_F(BridgeNetworkTest, EnsureDefinesStartsAndMarksForAutostartOnce) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(ensure());
  const auto& seen = networks.entries.at(kId).seen;
  EXPECT_TRUE(seen.active && seen.autostart);
  EXPECT_EQ(seen.name, "net-" + std::string(kId));
  EXPECT_EQ(networks.defines, 1);
  EXPECT_EQ(networks.starts, 1);
}

// A second build must not take the bridge that the first one is just starting for one that was left behind.
TEST_F(BridgeNetworkTest, BuildsAtOnceMakeTheNetworkOnceAndKeepItsBridge) {
  networks.while_starting = [this] {
    links->bridges[kBridge] = {};
    second = std::async(std::launch::async, [this] { return ensure(); });
    EXPECT_EQ(second.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout) << "it did not wait for its turn";
  };
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(second.get());
  EXPECT_TRUE(links->bridges.contains(kBridge));
  EXPECT_EQ(networks.starts, 1);
}

TEST_F(BridgeNetworkTest, EnsureStartsWhatWasStopped) {
  ASSERT_TRUE(ensure());
  networks.entries.at(kId).seen.active = false;
  ASSERT_TRUE(ensure());
  EXPECT_TRUE(networks.entries.at(kId).seen.active);
}

TEST_F(BridgeNetworkTest, ARouteInTheWayIsAConflictThatNamesIt) {
  route("10.0.0.0/8", "eth7");
  const auto result = ensure();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kConflict);
  EXPECT_THAT(result.error().message, HasSubstr("10.0.0.0/8 on eth7"));
  EXPECT_TRUE(networks.entries.empty());
}

TEST_F(BridgeNetworkTest, TheDefaultRouteAndItsHalvesAreNotInTheWay) {
  route("0.0.0.0/0", "eth0");
  route("0.0.0.0/1", "vpn0");
  route("10.77.0.0/24", kBridge);
  EXPECT_TRUE(ensure());
}

TEST_F(BridgeNetworkTest, AnotherLibvirtNetworkInTheWayIsNamed) {
  ASSERT_TRUE(
      networks.define("<network><name>default</name><uuid>99999999-1111-4111-8111-111111111111</uuid><bridge name='virbr0'/>"
                      "<ip address='10.77.0.129' netmask='255.255.255.128'/></network>"));
  const auto result = ensure();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kConflict);
  EXPECT_THAT(result.error().message, HasSubstr("10.77.0.128/25 of libvirt network 'default'"));
}

TEST_F(BridgeNetworkTest, WithoutNatInTheKernelTheErrorProposesIsolatedAndNothingStays) {
  networks.start_error = {.code = Code::kExternal, .message = "libvirt: Failed to apply firewall rules /usr/sbin/iptables -w --table nat"};
  const auto result = ensure();
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().chain(), HasSubstr("cannot set up NAT"));
  EXPECT_THAT(result.error().action(), HasSubstr("isolated"));
  EXPECT_TRUE(networks.entries.empty());
}

TEST_F(BridgeNetworkTest, AChangedSubnetIsAppliedAndKeepsTheDhcpEntries) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  subnet.dns_nameservers = {"9.9.9.9"};
  ASSERT_TRUE(ensure());
  EXPECT_THAT(networks.entries.at(kId).plan.forwarders, ElementsAre("9.9.9.9"));
  EXPECT_EQ(entries().size(), 1U);
  EXPECT_TRUE(networks.entries.at(kId).seen.active);
}

TEST_F(BridgeNetworkTest, AChangeIsRefusedWhilePortsArePlugged) {
  ASSERT_TRUE(ensure());
  links->bridges[kBridge] = {"tap1", "tap2"};
  subnet.dns_nameservers = {"9.9.9.9"};
  const auto result = ensure();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kConflict);
  EXPECT_THAT(result.error().message, HasSubstr("2 ports"));
  EXPECT_TRUE(networks.entries.at(kId).plan.forwarders.empty());
}

TEST_F(BridgeNetworkTest, ABridgeLeftBehindIsRemovedBeforeTheStart) {
  links->bridges[kBridge] = {};
  ASSERT_TRUE(ensure());
  EXPECT_FALSE(links->bridges.contains(kBridge));
}

TEST_F(BridgeNetworkTest, ABridgeNetworkNeedsItsBridgeAndMakesNothing) {
  network.kind = NetworkKind::kBridge;
  network.bridge = "br-lan";
  const auto result = ensure();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kNotFound);
  EXPECT_THAT(result.error().message, HasSubstr("'br-lan'"));
  links->bridges["br-lan"] = {"eth0"};
  EXPECT_TRUE(ensure());
  EXPECT_TRUE(driver->plug(network, port, "one"));
  EXPECT_TRUE(driver->remove(network));
  EXPECT_TRUE(networks.entries.empty());
  EXPECT_EQ(driver->bridge_for(network), "br-lan");
}

TEST_F(BridgeNetworkTest, PlugWritesOneEntryForTheMacAndItsAddress) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  ASSERT_TRUE(driver->plug(network, port, "one"));
  EXPECT_THAT(entries(), ElementsAre(Pair("fa-16-3e-00-00-01_10.77.0.5", "fa:16:3e:00:00:01,10.77.0.5,one\n")));
  port.fixed_ips[0].ip_address = "10.77.0.6";
  ASSERT_TRUE(driver->plug(network, port, "one"));
  EXPECT_THAT(entries(), ElementsAre(Pair("fa-16-3e-00-00-01_10.77.0.6", "fa:16:3e:00:00:01,10.77.0.6,one\n")));
  EXPECT_THAT(networks.names, ElementsAre(Pair("10.77.0.6", "host-10-77-0-6")));
}

TEST_F(BridgeNetworkTest, WhatIsNoHostNameOrNoMacNeverReachesDnsmasq) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "a,set:evil\nb"));
  EXPECT_THAT(entries(), ElementsAre(Pair(testing::_, "fa:16:3e:00:00:01,10.77.0.5\n")));
  port.mac_address = "../../../../etc/x";
  EXPECT_EQ(driver->plug(network, port, "one").error().code, Code::kInvalid);
}

TEST_F(BridgeNetworkTest, AnAddressEnteredForAnotherMacIsAConflict) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  port.mac_address = "fa:16:3e:00:00:99";
  const auto result = driver->plug(network, port, "two");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kConflict);
  EXPECT_THAT(result.error().chain(), HasSubstr("fa:16:3e:00:00:01"));
}

TEST_F(BridgeNetworkTest, ADirectoryThatDnsmasqCannotReachIsRefusedByName) {
  ASSERT_EQ(::chmod(root.c_str(), 0700), 0);
  std::filesystem::create_directory(root + "/" + kId);
  const auto result = ensure();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kForbidden);
  EXPECT_THAT(result.error().action(), HasSubstr("chmod o+x " + root));
  EXPECT_TRUE(networks.entries.empty());
}

TEST_F(BridgeNetworkTest, WithoutDhcpThereIsNothingToEnter) {
  subnet.enable_dhcp = false;
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  EXPECT_FALSE(std::filesystem::exists(root + "/" + kId));
}

TEST_F(BridgeNetworkTest, PlugGivesBackTheAddressThatAnEarlierGuestStillLeases) {
  ASSERT_TRUE(ensure());
  networks.given = {{"fa:16:3e:00:00:99", "10.77.0.5"}, {port.mac_address, "10.77.0.200"}, {"fa:16:3e:00:00:98", "10.77.0.7"}};
  ASSERT_TRUE(driver->plug(network, port, "one"));
  EXPECT_THAT(links->released,
              ElementsAre("br22222222-11 10.77.0.1 10.77.0.5 fa:16:3e:00:00:99", "br22222222-11 10.77.0.1 10.77.0.200 fa:16:3e:00:00:01"));
}

TEST_F(BridgeNetworkTest, UnplugRemovesEntryLeaseAndTapAndMayBeRepeated) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  networks.given = {{port.mac_address, "10.77.0.9"}, {"fa:16:3e:00:00:98", "10.77.0.7"}};
  ASSERT_TRUE(driver->unplug(network, port));
  EXPECT_TRUE(entries().empty());
  EXPECT_TRUE(networks.names.empty()) << "what makes dnsmasq forget the address";
  EXPECT_THAT(links->released,
              ElementsAre("br22222222-11 10.77.0.1 10.77.0.5 fa:16:3e:00:00:01", "br22222222-11 10.77.0.1 10.77.0.9 fa:16:3e:00:00:01"));
  networks.entries.clear();
  ASSERT_TRUE(driver->unplug(network, port));
  EXPECT_THAT(links->removed_taps, ElementsAre("tap55555555-11", "tap55555555-11"));
}

TEST_F(BridgeNetworkTest, RemoveMayBeRepeated) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  EXPECT_TRUE(driver->remove(network));
  EXPECT_TRUE(driver->remove(network));
  EXPECT_TRUE(networks.entries.empty());
  EXPECT_TRUE(std::filesystem::is_empty(root)) << "no entry stays";
}

}  // namespace
}  // namespace ca
