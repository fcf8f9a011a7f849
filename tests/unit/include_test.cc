#include "tests/unit/include_rules.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace ca::test {
namespace {

std::vector<std::filesystem::path> sources() {
  std::vector<std::filesystem::path> all;
  for (const char* folder : {"agent", "drivers"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(std::filesystem::path(SOURCE_ROOT) / folder)) {
      const auto ending = entry.path().extension();
      if (entry.is_regular_file() && (ending == ".h" || ending == ".cc")) all.push_back(entry.path());
    }
  }
  return all;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(Includes, OfTheTreeFollowTheArrows) {
  const auto all = sources();
  EXPECT_GT(all.size(), 50U) << "the tree was not found at " << SOURCE_ROOT;
  for (const auto& path : all) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    ASSERT_TRUE(file) << "cannot read " << path;
    EXPECT_EQ(joined(include_violations(path.lexically_relative(SOURCE_ROOT).string(), text.str())), "");
  }
}

struct Case {
  std::string path, text;
};

TEST(Includes, ThatBreakARuleAreFound) {
  for (const auto& [path, text] :
       std::vector<Case>{{"agent/verbs/build.cc", "#include <libvirt/libvirt.h>"},
                         {"agent/verbs/build.cc", "  #  include <libvirt/libvirt-qemu.h>  // why not"},
                         {"agent/verbs/build.cc", "#include \"libvirt/libvirt.h\""},
                         {"drivers/network/bridge/bridge_network.cc", "#include <libvirt/libvirt.h>"},
                         {"agent/agent.cc", "#include <libvirt/virterror.h>"},
                         {"agent/journal/journal.cc", "#include <sqlite3.h>"},
                         {"agent/bus/spool.cc", "#include <SQLiteCpp/SQLiteCpp.h>"},
                         {"agent/bus/dispatcher.cc", "#include <amqp.h>"},
                         {"agent/bus/dispatcher.cc", "#include <amqp_tcp_socket.h>"},
                         {"agent/verbs/build.cc", "#include <cpprest/json.h>"},
                         {"agent/main.cc", "#include <archive.h>"},
                         {"agent/api/router.cc", "#include <boost/program_options.hpp>"},
                         {"agent/verbs/build.cc", "#include <pugixml.hpp>"},
                         {"agent/api/router.cc", "#include <rbd/librbd.h>"},
                         {"agent/verbs/build.cc", "#include <netlink/netlink.h>"},
                         {"agent/api/router.cc", "#include <valijson/schema.hpp>"},
                         {"agent/core/values.h", "#include \"agent/config/config.h\""},
                         {"agent/core/values.h", "#include \"drivers/disk.h\""},
                         {"agent/core/values.cc", "#include <fstream>"},
                         {"agent/domainxml/disk.cc", "#include \"agent/config/paths.h\""},
                         {"agent/domainxml/disk.cc", "#include \"drivers/disk.h\""},
                         {"agent/domainxml/disk.cc", "#include <spdlog/spdlog.h>"},
                         {"agent/metadata/network_data.cc", "#include \"drivers/network.h\""},
                         {"agent/resources/claims.cc", "#include \"agent/store/store.h\""},
                         {"agent/reconcile/decide.cc", "#include \"drivers/hypervisor.h\""},
                         {"agent/reconcile/decide.cc", "#include \"agent/reconcile/loop/reconciler.h\""},
                         {"agent/reconcile/loop/reconciler.cc", "#include \"agent/bus/bus.h\""},
                         {"agent/verbs/build.cc", "#include \"agent/api/server.h\""},
                         {"agent/verbs/build.cc", "#include \"agent/bus/bus.h\""},
                         {"agent/verbs/build.cc", "#include \"drivers/hypervisor/libvirt/connection.h\""},
                         {"agent/verbs/build.cc", "#include \"drivers/image/cache/image_cache.h\""},
                         {"agent/store/store.cc", "#include \"agent/journal/journal.h\""},
                         {"agent/bus/spool.cc", "#include \"agent/journal/journal.h\""},
                         {"agent/config/load.cc", "#include \"agent/store/store.h\""},
                         {"agent/ctl/main.cc", "#include \"agent/store/store.h\""},
                         {"agent/ctl/main.cc", "#include \"drivers/process.h\""},
                         {"drivers/image/cache/image_cache.cc", "#include \"agent/config/config.h\""},
                         {"drivers/image/cache/image_cache.cc", "#include \"drivers/process/posix/posix_runner.h\""},
                         {"drivers/image/inspector/qcow2.cc", "#include \"drivers/process.h\""},
                         {"drivers/image/inspector/qcow2.cc", "#include <fcntl.h>"},
                         {"drivers/disk.h", "#include <filesystem>"},
                         {"drivers/disk.h", "#include \"drivers/files/durable_file.h\""},
                         {"drivers/teapot/pour.cc", "#include \"agent/core/error.h\""},
                         {"agent/core/ids.cc", "#include \"ids.h\""},
                         {"agent/core/ids.cc", "#include \"../config/config.h\""},
                         {"agent/core/ids.cc", "#include SOME_HEADER"}}) {
    EXPECT_EQ(include_violations(path, "#pragma once\n" + text + "\n").size(), 1U) << path << ": " << text;
  }
}

TEST(Includes, ThatKeepTheRulesAreNotComplainedAbout) {
  for (const auto& [path, text] : std::vector<Case>{
           {"drivers/hypervisor/libvirt/connection.cc", "#include <libvirt/libvirt.h>\n#include <pugixml.hpp>"},
           {"agent/store/sqlite.cc", "#include <sqlite3.h>\n#include \"agent/store/sqlite.h\"\n#include \"schemas/embedded.h\""},
           {"agent/api/server.cc", "#include <cpprest/http_listener.h>\n#include \"agent/bus/bus.h\""},
           {"agent/bus/amqp/channel.cc", "#include <amqp.h>\n#include \"agent/bus/bus.h\""},
           {"agent/main.cc", "#include <boost/program_options.hpp>\n#include \"agent/agent.h\"\n#include \"drivers/disk/raw/raw.h\""},
           {"agent/metadata/instance_metadata.h", "#include \"drivers/config_drive.h\""},
           {"agent/reconcile/loop/reconciler.cc", "#include \"agent/reconcile/decide.h\"\n#include \"drivers/hypervisor.h\""},
           {"drivers/image/inspector/qcow2.cc", "#include \"drivers/image.h\"\n#include \"drivers/image/inspector/magic.h\""},
           {"drivers/image/cache/image_cache.cc", "#include \"drivers/process.h\"\n#include <filesystem>"},
           {"agent/core/values.h", "#include <map>\n#include <nlohmann/json.hpp>\n// #include <sqlite3.h>\nconst char* include;"},
       }) {
    EXPECT_EQ(joined(include_violations(path, text)), "");
  }
}

}  // namespace
}  // namespace ca::test
