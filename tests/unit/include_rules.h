#pragma once
// Who may include whom (README, architecture). One table for the rooms' arrows, one for the libraries' headers. A place is a folder
// ("agent/core/"), a file without its ending ("agent/reconcile/decide"), or the files directly in a folder ("drivers/*"). The
// longest place that fits a file counts.

#include <string>
#include <string_view>
#include <vector>

namespace ca::test {

struct Arrow {
  std::string_view from;
  std::vector<std::string_view> to;  // besides its own place
};

struct Library {
  std::vector<std::string_view> headers;  // beginnings of header names
  std::vector<std::string_view> places;   // that may include them
};

inline const std::vector<Arrow>& arrows() {
  static const std::vector<Arrow> all{
      // Wiring: knows everybody.
      {"agent/*", {"agent/", "drivers/"}},
      // Rooms, outermost first.
      {"agent/ctl/", {"agent/core/", "agent/config/"}},
      {"agent/api/",
       {"agent/core/", "agent/config/", "agent/runtime/", "agent/resources/", "agent/store/", "agent/journal/", "agent/verbs/",
        "agent/bus/", "agent/domainxml/guest_options", "drivers/*"}},
      {"agent/bus/", {"agent/core/", "agent/runtime/", "agent/store/", "agent/journal/"}},
      {"agent/bus/spool", {"agent/core/", "agent/runtime/", "agent/store/", "agent/bus/"}},
      {"agent/bus/amqp/", {"agent/core/", "agent/runtime/", "agent/bus/"}},
      {"agent/verbs/",
       {"agent/core/", "agent/config/", "agent/runtime/", "agent/resources/", "agent/store/", "agent/journal/", "agent/domainxml/",
        "agent/metadata/", "drivers/*", "drivers/files/"}},
      {"agent/reconcile/loop/", {"agent/core/", "agent/runtime/", "agent/store/", "agent/journal/", "agent/reconcile/decide", "drivers/*"}},
      {"agent/metrics/", {"agent/core/", "agent/runtime/", "agent/store/", "agent/journal/", "agent/resources/"}},
      {"agent/console/", {"agent/core/", "agent/config/", "agent/store/", "drivers/*"}},
      {"agent/journal/", {"agent/core/", "agent/runtime/", "agent/store/"}},
      {"agent/store/", {"agent/core/", "schemas/"}},
      {"agent/runtime/", {"agent/core/", "schemas/"}},
      // Pure.
      {"agent/config/", {"agent/core/"}},
      {"agent/domainxml/", {"agent/core/"}},
      {"agent/metadata/", {"agent/core/", "drivers/config_drive"}},
      {"agent/resources/", {"agent/core/"}},
      {"agent/reconcile/decide", {"agent/core/"}},
      {"agent/core/", {}},
      // Drivers: their interfaces and helpers, never each other's insides nor the agent.
      {"drivers/*", {"agent/core/"}},
      {"drivers/files/", {"agent/core/"}},
      {"drivers/process/", {"agent/core/", "drivers/*", "drivers/files/"}},
      {"drivers/configdrive/", {"agent/core/", "drivers/*", "drivers/files/"}},
      {"drivers/disk/", {"agent/core/", "drivers/*", "drivers/files/"}},
      {"drivers/image/", {"agent/core/", "drivers/*", "drivers/files/"}},
      {"drivers/image/inspector/", {"agent/core/", "drivers/image"}},
      {"drivers/volume/", {"agent/core/", "drivers/*", "drivers/files/"}},
      {"drivers/network/", {"agent/core/", "drivers/*", "drivers/files/"}},
      {"drivers/network/fake/", {"agent/core/", "drivers/*", "drivers/hypervisor/fake/faults"}},
      {"drivers/hypervisor/", {"agent/core/", "drivers/*", "drivers/files/"}},
      // libvirt's own network driver does the work behind the bridge driver's inner interface.
      {"drivers/hypervisor/libvirt/", {"agent/core/", "drivers/*", "drivers/network/bridge/host_networks"}},
  };
  return all;
}

inline const std::vector<Library>& libraries() {
  static const std::vector<Library> all{
      {{"libvirt/"}, {"drivers/hypervisor/libvirt/"}},
      {{"rbd/", "rados/"}, {"drivers/disk/rbd/", "drivers/image/sources/rbd/", "drivers/volume/rbd/"}},
      {{"sqlite3", "SQLiteCpp/"}, {"agent/store/"}},
      {{"amqp", "rabbitmq-c/"}, {"agent/bus/amqp/"}},
      {{"cpprest/", "pplx/"}, {"agent/api/", "agent/*"}},
      {{"boost/beast", "boost/asio"}, {"agent/ctl/", "drivers/image/sources/http/"}},
      {{"boost/program_options"}, {"agent/config/", "agent/ctl/", "agent/main"}},
      {{"valijson/"}, {"agent/runtime/"}},
      {{"prometheus/"}, {"agent/metrics/", "agent/main"}},
      {{"systemd/"}, {"agent/*"}},
      {{"archive.h", "archive_entry.h"}, {"drivers/configdrive/"}},
      {{"pugixml"}, {"agent/domainxml/", "drivers/hypervisor/libvirt/", "drivers/hypervisor/fake/", "drivers/network/"}},
      {{"netlink/", "nftables/", "libnftables"}, {"drivers/network/"}},
  };
  return all;
}

// Values in, values out: no files, descriptors, sockets, threads or logs.
struct Purity {
  std::vector<std::string_view> places;
  std::vector<std::string_view> forbidden;  // beginnings of header names
};

inline const Purity& purity() {
  static const Purity all{{"agent/core/", "agent/domainxml/", "agent/metadata/", "agent/resources/", "agent/reconcile/decide",
                           "drivers/image/inspector/", "drivers/*"},
                          {"fstream", "filesystem", "fcntl.h", "sys/stat.h", "sys/socket.h", "poll.h", "thread", "spdlog/"}};
  return all;
}

// What the includes of one file break, one sentence each. `path` is relative to the top of the tree.
[[nodiscard]] std::vector<std::string> include_violations(const std::string& path, std::string_view text);

}  // namespace ca::test
