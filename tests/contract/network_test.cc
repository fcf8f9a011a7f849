// The bridge driver on a real libvirtd, kernel and dnsmasq.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "agent/core/ids.h"
#include "drivers/hypervisor/libvirt/libvirt_hypervisor.h"
#include "drivers/network/bridge/bridge_network.h"
#include "tests/contract/lab.h"
#include "tests/recording_listener.h"

namespace ca {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kIp = "/usr/sbin/ip";

bool link_exists(const std::string& name) { return std::filesystem::exists("/sys/class/net/" + name); }

class NetworkContract : public testing::TestWithParam<NetworkKind> {
 protected:
  void SetUp() override {
    if (!in_lab()) GTEST_SKIP() << kNoLab;
    connection = make_libvirt_connection({});
    hypervisor = make_libvirt_hypervisor(connection);
    host_networks = make_libvirt_networks(connection);
    driver = make_bridge_network_driver(*host_networks, {.networks_path = std::string(std::getenv("LAB_DIR")) + "/networks"});
    hypervisor->start(listener);
    ASSERT_NE(listener.wait_for_connection(true), "");
    network.kind = GetParam();
    bridge = driver->bridge_for(network);
    port = make_port("10.77.0.5");
  }
  void TearDown() override {
    if (!driver) return;
    EXPECT_TRUE(driver->remove(network));
    EXPECT_FALSE(link_exists(bridge));
    hypervisor->stop();
  }
  Port make_port(const std::string& address) const {
    Port made;
    made.id = new_uuid();
    made.mac_address = new_mac();
    made.fixed_ips = {{subnet.id, address}};
    return made;
  }
  Result<void> ensure() { return driver->ensure(network, {subnet}); }
  std::string definition() { return host_networks->xml(network.id).value_or(""); }

  // A machine on the bridge: a network namespace behind a veth. Answers what its DHCP client says.
  std::string ask_for_address(const std::string& name, const std::string& mac) {
    run_program({kIp, "netns", "add", name});
    run_program({kIp, "link", "add", "v" + name, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", name});
    run_program({kIp, "link", "set", "v" + name, "master", bridge, "up"});
    run_program({kIp, "-n", name, "link", "set", "eth0", "up"});
    const auto runner = make_posix_process_runner();
    ProcessSpec spec;
    spec.argv = {kIp,  "netns", "exec", name, "/bin/busybox", "udhcpc", "-i", "eth0",     "-n",
                 "-q", "-f",    "-t",   "5",  "-T",           "2",      "-s", "/bin/true"};
    const auto answer = runner->run(spec);
    run_program({kIp, "netns", "del", name});
    return answer ? answer->out + answer->err : answer.error().chain();
  }

  RecordingListener listener;
  std::shared_ptr<LibvirtConnection> connection;
  std::unique_ptr<Hypervisor> hypervisor;
  std::unique_ptr<HostNetworks> host_networks;
  std::unique_ptr<NetworkDriver> driver;
  Network network{.id = new_uuid(), .name = "demo", .kind = NetworkKind::kNat, .mtu = 1450};
  Subnet subnet{.id = new_uuid(),
                .network_id = network.id,
                .cidr = "10.77.0.0/24",
                .gateway_ip = "10.77.0.1",
                .allocation_pools = {{"10.77.0.2", "10.77.0.254"}}};
  Port port;
  std::string bridge;
};

TEST_P(NetworkContract, EnsureMakesABridgeWithTheGatewayAndIsDoneOnce) {
  auto made = ensure();
  ASSERT_TRUE(made) << made.error().chain();
  const std::string address = run_program({kIp, "-o", "address", "show", bridge});
  EXPECT_THAT(address, HasSubstr("10.77.0.1/24"));
  const std::string before = run_program({kIp, "-o", "link", "show", bridge});
  ASSERT_TRUE(ensure());
  EXPECT_EQ(run_program({kIp, "-o", "link", "show", bridge}), before) << "not made anew";
  const auto seen = host_networks->find(network.id);
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->active && seen->persistent && seen->autostart);
}

TEST_P(NetworkContract, RemoveLeavesNothingAndMayBeRepeated) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->remove(network));
  EXPECT_FALSE(link_exists(bridge));
  EXPECT_EQ(host_networks->find(network.id).error().code, Code::kNotFound);
  EXPECT_TRUE(driver->remove(network));
}

TEST_P(NetworkContract, EnsureTakesABridgeThatWasLeftBehind) {
  run_program({kIp, "link", "add", bridge, "type", "bridge"});
  const auto made = ensure();
  EXPECT_TRUE(made) << made.error().chain();
}

TEST_P(NetworkContract, AnAddressRangeThatTheHostRoutesElsewhereIsAConflict) {
  run_program({kIp, "link", "add", "other0", "type", "bridge"});
  run_program({kIp, "address", "add", "10.77.0.200/25", "dev", "other0"});
  run_program({kIp, "link", "set", "other0", "up"});
  const auto made = ensure();
  run_program({kIp, "link", "del", "other0"});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kConflict);
  EXPECT_THAT(made.error().message, HasSubstr("10.77.0.128/25 on other0"));
  EXPECT_EQ(host_networks->find(network.id).error().code, Code::kNotFound);
}

TEST_P(NetworkContract, AnAddressRangeOfAnotherNetworkIsAConflict) {
  ASSERT_TRUE(ensure());
  Network second = network;
  second.id = new_uuid();
  Subnet inside = subnet;
  inside.network_id = second.id;
  run_program({"/usr/bin/virsh", "net-destroy", "net-" + network.id});  // no route any more, the definition still counts
  const auto made = driver->ensure(second, {inside});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kConflict);
  EXPECT_THAT(made.error().message, HasSubstr("net-" + network.id));
}

TEST_P(NetworkContract, AChangeOfTheSubnetIsApplied) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  subnet.dns_nameservers = {"10.77.0.9"};
  const auto changed = ensure();
  ASSERT_TRUE(changed) << changed.error().chain();
  EXPECT_THAT(definition(), HasSubstr("10.77.0.9"));
  EXPECT_TRUE(link_exists(bridge));
  EXPECT_THAT(ask_for_address("one", port.mac_address), HasSubstr("lease of 10.77.0.5 obtained")) << "the entries stay";
}

TEST_P(NetworkContract, APluggedPortGetsItsAddressByDhcp) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  EXPECT_THAT(ask_for_address("one", port.mac_address), HasSubstr("lease of 10.77.0.5 obtained"));
}

TEST_P(NetworkContract, AnAddressGoesToTheNextPortAtOnce) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  ASSERT_THAT(ask_for_address("one", port.mac_address), HasSubstr("lease of 10.77.0.5 obtained"));
  ASSERT_TRUE(driver->unplug(network, port));
  const Port next = make_port("10.77.0.5");
  ASSERT_TRUE(driver->plug(network, next, "one"));
  EXPECT_THAT(ask_for_address("two", next.mac_address), HasSubstr("lease of 10.77.0.5 obtained"));
  EXPECT_TRUE(driver->unplug(network, next));
  EXPECT_TRUE(eventually([&] {
    const auto leases = host_networks->leases(network.id);
    return leases && leases->empty();
  })) << "unplug gives the lease back";
}

TEST_P(NetworkContract, PlugAgainWithAnotherAddressReplacesItEvenOfALease) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  ASSERT_TRUE(driver->plug(network, port, "one"));
  ASSERT_THAT(ask_for_address("one", port.mac_address), HasSubstr("lease of 10.77.0.5 obtained"));
  port.fixed_ips[0].ip_address = "10.77.0.6";
  ASSERT_TRUE(driver->plug(network, port, "one"));
  EXPECT_THAT(ask_for_address("two", port.mac_address), HasSubstr("lease of 10.77.0.6 obtained"));
}

TEST_P(NetworkContract, PortsOfOneNameGetTheirOwnAddresses) {
  ASSERT_TRUE(ensure());
  const Port second = make_port("10.77.0.6");
  ASSERT_TRUE(driver->plug(network, port, "web"));
  ASSERT_TRUE(driver->plug(network, second, "web"));
  EXPECT_THAT(ask_for_address("one", port.mac_address), HasSubstr("lease of 10.77.0.5 obtained"));
  EXPECT_THAT(ask_for_address("two", second.mac_address), HasSubstr("lease of 10.77.0.6 obtained"));
}

TEST_P(NetworkContract, EntriesOutliveTheDhcpServer) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  run_program({"/usr/bin/virsh", "net-destroy", "net-" + network.id});
  ASSERT_TRUE(ensure());
  EXPECT_THAT(ask_for_address("one", port.mac_address), HasSubstr("lease of 10.77.0.5 obtained"));
}

TEST_P(NetworkContract, ATapLeftBehindIsRemovedAndOneInUseIsNot) {
  ASSERT_TRUE(ensure());
  const std::string tap = tap_name(port.id);
  run_program({kIp, "tuntap", "add", "dev", tap, "mode", "tap"});
  const int held = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  ASSERT_GE(held, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, tap.c_str(), IF_NAMESIZE - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  ASSERT_EQ(::ioctl(held, TUNSETIFF, &request), 0);
  EXPECT_EQ(driver->unplug(network, port).error().code, Code::kConflict);
  EXPECT_TRUE(link_exists(tap));
  ::close(held);
  const auto removed = driver->unplug(network, port);
  EXPECT_TRUE(removed) << removed.error().chain();
  EXPECT_FALSE(link_exists(tap));
}

TEST_P(NetworkContract, ADestroyedGuestLeavesNoTap) {
  ASSERT_TRUE(ensure());
  ASSERT_TRUE(driver->plug(network, port, "one"));
  const std::string uuid = new_uuid();
  const std::string tap = tap_name(port.id);
  const auto defined = hypervisor->define("<domain type='qemu'><name>instance-" + uuid.substr(0, 8) + "</name><uuid>" + uuid +
                                          "</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>"
                                          "<os><type arch='x86_64'>hvm</type></os><devices><interface type='bridge'><mac address='" +
                                          port.mac_address + "'/><source bridge='" + bridge + "'/><target dev='" + tap +
                                          "'/><model type='virtio'/></interface></devices></domain>");
  ASSERT_TRUE(defined) << defined.error().chain();
  const auto started = hypervisor->create(uuid);
  ASSERT_TRUE(started) << started.error().chain();
  EXPECT_TRUE(link_exists("" + tap));
  subnet.dns_nameservers = {"10.77.0.9"};
  EXPECT_EQ(ensure().error().code, Code::kConflict) << "a change would cut the guest off";
  EXPECT_TRUE(hypervisor->destroy(uuid));
  EXPECT_FALSE(link_exists(tap));
  EXPECT_TRUE(driver->unplug(network, port));
  EXPECT_TRUE(hypervisor->undefine(uuid));
}

INSTANTIATE_TEST_SUITE_P(, NetworkContract, testing::Values(NetworkKind::kNat, NetworkKind::kIsolated),
                         [](const auto& info) { return info.param == NetworkKind::kNat ? "Nat" : "Isolated"; });

}  // namespace
}  // namespace ca
