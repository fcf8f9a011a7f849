#include "drivers/network/bridge/host_links.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "drivers/network/bridge/dhcp_release.h"

namespace ca {
namespace {

namespace fs = std::filesystem;

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
using Socket = std::unique_ptr<nl_sock, FreeWith<nl_socket_free>>;
using Cache = std::unique_ptr<nl_cache, FreeWith<nl_cache_free>>;
using Link = std::unique_ptr<rtnl_link, FreeWith<rtnl_link_put>>;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> nl_failed(int code, const std::string& what) {
  return fail(code == -NLE_PERM ? Code::kForbidden : Code::kExternal, what + ": " + nl_geterror(code));
}

Result<Socket> open_netlink() {
  Socket socket(nl_socket_alloc());
  if (!socket) return fail(Code::kNoResources, "cannot make a netlink socket");
  if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0) return nl_failed(code, "cannot open a netlink socket");
  return socket;
}

void collect_route(nl_object* object, void* into) {
  auto* route = reinterpret_cast<rtnl_route*>(object);
  auto* routes = static_cast<std::vector<HostRoute>*>(into);
  nl_addr* destination = rtnl_route_get_dst(route);
  if (rtnl_route_get_type(route) != RTN_UNICAST || rtnl_route_get_table(route) != RT_TABLE_MAIN || destination == nullptr) return;
  HostRoute seen;
  seen.destination.address.version = rtnl_route_get_family(route) == AF_INET6 ? 6 : 4;
  seen.destination.length = static_cast<int>(nl_addr_get_prefixlen(destination));
  const auto size = std::min<std::size_t>(nl_addr_get_len(destination), seen.destination.address.bytes.size());
  std::memcpy(seen.destination.address.bytes.data(), nl_addr_get_binary_addr(destination), size);
  if (const auto* hop = rtnl_route_nexthop_n(route, 0)) {
    std::array<char, IF_NAMESIZE> name{};
    if (::if_indextoname(static_cast<unsigned>(rtnl_route_nh_get_ifindex(const_cast<rtnl_nexthop*>(hop))), name.data()) != nullptr) {
      seen.interface = name.data();
    }
  }
  routes->push_back(std::move(seen));
}

bool plain_name(const std::string& name) {
  return !name.empty() && name.size() < IF_NAMESIZE && name.find('/') == std::string::npos && name != "." && name != "..";
}

int attach_tap(int fd, const std::string& name, short extra) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.c_str(), name.size());
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | extra);
  return ::ioctl(fd, TUNSETIFF, &request) == 0 ? 0 : errno;
}

class KernelLinks final : public HostLinks {
 public:
  Result<std::vector<HostRoute>> routes() override {
    CA_TRY(const Socket socket, open_netlink());
    nl_cache* raw = nullptr;
    if (const int code = rtnl_route_alloc_cache(socket.get(), AF_UNSPEC, 0, &raw); code < 0)
      return nl_failed(code, "cannot read the host's routes");
    const Cache cache(raw);
    std::vector<HostRoute> all;
    nl_cache_foreach(cache.get(), collect_route, &all);
    return all;
  }

  bool is_bridge(const std::string& name) override {
    std::error_code ignored;
    return plain_name(name) && fs::is_directory("/sys/class/net/" + name + "/bridge", ignored);
  }

  Result<std::vector<std::string>> bridge_ports(const std::string& bridge) override {
    std::vector<std::string> ports;
    if (!is_bridge(bridge)) return ports;
    std::error_code error;
    for (fs::directory_iterator it("/sys/class/net/" + bridge + "/brif", error), end; !error && it != end; it.increment(error)) {
      ports.push_back(it->path().filename());
    }
    if (error && error != std::errc::no_such_file_or_directory)
      return fail_errno(error.value(), "cannot list the ports of bridge " + bridge);
    return ports;
  }

  Result<void> remove_bridge(const std::string& name) override {
    CA_TRY(const Socket socket, open_netlink());
    rtnl_link* raw = nullptr;
    int code = rtnl_link_get_kernel(socket.get(), 0, name.c_str(), &raw);
    const Link link(raw);
    if (code == -NLE_NODEV || code == -NLE_OBJ_NOTFOUND) return {};
    if (code >= 0) code = rtnl_link_delete(socket.get(), link.get());
    if (code < 0 && code != -NLE_NODEV) return nl_failed(code, "cannot remove the bridge " + name);
    return {};
  }

  Result<void> remove_tap(const std::string& name) override {
    if (!plain_name(name)) return fail(Code::kInvalid, "'" + name + "' is no interface name");
    if (::if_nametoindex(name.c_str()) == 0) return {};
    // Attaching tells, in one step, whether somebody else holds the tap; one that was made here by a lost race ends with `tun`.
    const Fd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (tun.get() < 0) return fail_errno(errno, "cannot open /dev/net/tun");
    int error = attach_tap(tun.get(), name, 0);
    if (error == EBUSY)
      return fail(Code::kConflict, "tap " + name + " is held by a running program", "power the guest that uses it off first");
    if (error == EINVAL)
      return fail(Code::kConflict, "interface " + name + " is not a tap of ours", "remove it by hand (ip link delete " + name + ")");
    if (error == 0 && ::ioctl(tun.get(), TUNSETPERSIST, 0) != 0) error = errno;
    if (error != 0) return fail_errno(error, "cannot remove tap " + name);
    return {};
  }

  Result<void> release_lease(const std::string& bridge, const std::string& server_ip, const std::string& ip_address,
                             const std::string& mac) override {
    CA_TRY(const std::string packet, net::dhcp_release_packet(server_ip, ip_address, mac));
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket.get() < 0) return fail_errno(errno, "cannot make a UDP socket");
    // Bound to the bridge: dnsmasq takes a packet to its own address by the interface it was sent on.
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, bridge.c_str(), static_cast<socklen_t>(bridge.size())) != 0) {
      if (errno == ENODEV) return {};  // no bridge, so no server that could remember
      return fail_errno(errno, "cannot bind a socket to " + bridge);
    }
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(67);
    ::inet_pton(AF_INET, server_ip.c_str(), &to.sin_addr);
    if (::sendto(socket.get(), packet.data(), packet.size(), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
      return fail_errno(errno, "cannot release the lease of " + ip_address + " on " + bridge);
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<HostLinks> make_host_links() { return std::make_unique<KernelLinks>(); }

}  // namespace ca
