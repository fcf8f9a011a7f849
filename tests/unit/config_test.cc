#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "agent/config/host_defaults.h"
#include "agent/config/ini.h"
#include "agent/config/nearest.h"
#include "agent/config/options.h"

namespace ca {
namespace {

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "config-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string write(const std::string& text, const std::string& name = "agent.conf") {
    const std::string path = dir_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  std::string refusal(const std::string& text) {
    const auto loaded = load_config({write(text)}, {});
    EXPECT_FALSE(loaded) << "accepted: " << text;
    return loaded ? "" : loaded.error().message;
  }

  static std::string origin(const LoadedConfig& loaded, const std::string& section, const std::string& name) {
    for (const OptionView& view : loaded.effective) {
      if (view.section == section && view.name == name) return view.origin;
    }
    return "no such option";
  }

  std::string dir_;
};

// What every option has, so that two Configs can be compared.
std::vector<std::string> texts(const Config& config) {
  std::vector<std::string> all;
  for (const Option& option : option_table()) {
    all.push_back(std::string(option.name) + "=" + option_text(option, config));
  }
  return all;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_F(ConfigFile, DefaultsAreThoseOfTheStructAndOfNova) {
  const auto loaded = load_config({}, {});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  const Config& config = loaded->config;
  EXPECT_EQ(config.instances_path, "/var/lib/nova/instances");
  EXPECT_EQ(config.token_file, "/var/lib/compute-agent/token");
  EXPECT_EQ(config.host, default_host());
  EXPECT_TRUE(is_ip_address(config.my_ip));
  Config expected;
  expected.host = config.host;
  expected.my_ip = config.my_ip;
  expected.state_path = "/var/lib/nova";
  expected.instances_path = "/var/lib/nova/instances";
  expected.nfs_mount_point_base = "/var/lib/nova/mnt";
  expected.volumes_path = "/var/lib/nova/volumes";
  expected.data_path = "/var/lib/compute-agent";
  expected.token_file = "/var/lib/compute-agent/token";
  EXPECT_EQ(texts(config), texts(expected));
  for (const OptionView& view : loaded->effective) EXPECT_EQ(view.origin, "default") << view.name;
  EXPECT_EQ(loaded->effective.size(), option_table().size());
}

TEST_F(ConfigFile, ValuesOfEveryKindAreRead) {
  const std::string path = write(
      "# comment\n"
      "; another\n"
      "[DEFAULT]\n"
      "host = node-7\n"
      "my_ip: 10.0.0.7\n"
      "force_raw_images = No\n"
      "debug=1\n"
      "reserved_host_memory_mb = 2048\r\n"
      "cpu_allocation_ratio = 16\n"
      "log_file = \"/var/log/agent.log\"\n"
      "\n"
      "[libvirt]\n"
      "virt_type = qemu\n"
      "cpu_mode = custom\n"
      "cpu_models = Haswell,\n"
      "   Broadwell , \n"
      "\tSkylake-Client\n"
      "disk_cachemodes = file=writeback,network=none\n");
  const auto loaded = load_config({path}, {});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  const Config& config = loaded->config;
  EXPECT_EQ(config.host, "node-7");
  EXPECT_EQ(config.my_ip, "10.0.0.7");
  EXPECT_FALSE(config.force_raw_images);
  EXPECT_TRUE(config.debug);
  EXPECT_EQ(config.reserved_host_memory_mb, 2048);
  EXPECT_DOUBLE_EQ(config.cpu_allocation_ratio, 16.0);
  EXPECT_EQ(config.log_file, "/var/log/agent.log");
  EXPECT_EQ(config.cpu_models, (std::vector<std::string>{"Haswell", "Broadwell", "Skylake-Client"}));
  EXPECT_EQ(config.disk_cachemodes, (std::vector<std::string>{"file=writeback", "network=none"}));
  EXPECT_TRUE(loaded->warnings.empty());
  EXPECT_EQ(origin(*loaded, "DEFAULT", "my_ip"), path + ":5");
  EXPECT_EQ(origin(*loaded, "libvirt", "cpu_models"), path + ":15");
  EXPECT_EQ(origin(*loaded, "DEFAULT", "state_path"), "default");
}

TEST_F(ConfigFile, LaterFilesWinAndTheCommandLineWinsOverAll) {
  const std::string first = write("[DEFAULT]\nhost = a\nshutdown_timeout = 1\ndebug = on\n", "1.conf");
  const std::string second = write("[DEFAULT]\nhost = b\nshutdown_timeout = 2\n", "2.conf");
  const auto loaded = load_config({first, second}, {"DEFAULT.host=c"});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  EXPECT_EQ(loaded->config.host, "c");
  EXPECT_EQ(loaded->config.shutdown_timeout, 2);
  EXPECT_TRUE(loaded->config.debug);
  EXPECT_EQ(origin(*loaded, "DEFAULT", "host"), "command line");
  EXPECT_EQ(origin(*loaded, "DEFAULT", "shutdown_timeout"), second + ":3");
  EXPECT_EQ(origin(*loaded, "DEFAULT", "debug"), first + ":4");
}

TEST_F(ConfigFile, ReferencesToOtherOptionsAreReplaced) {
  const auto loaded = load_config({write("[DEFAULT]\n"
                                         "state_path = /srv/nova\n"
                                         "my_ip = 10.0.0.7\n"
                                         "instances_path = ${state_path}/vms\n"
                                         "log_file = /logs/$$5/${host}.log\n"
                                         "host = node1\n"
                                         "[image_cache]\n"
                                         "subdirectory_name = _base_$my_ip\n"
                                         "[api]\n"
                                         "token_file = ${DEFAULT.instances_path}/t\n")},
                                  {});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  EXPECT_EQ(loaded->config.instances_path, "/srv/nova/vms");
  EXPECT_EQ(loaded->config.image_cache_subdirectory_name, "_base_10.0.0.7");
  EXPECT_EQ(loaded->config.token_file, "/srv/nova/vms/t");
  EXPECT_EQ(loaded->config.log_file, "/logs/$5/node1.log");
}

TEST_F(ConfigFile, ReferencesToNothingAndCirclesAreRefused) {
  EXPECT_TRUE(has(refusal("[DEFAULT]\nlog_file = $nothing/x\n"), "'$nothing'"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\nlog_file = ${state_path\n"), "refers to"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\nlog_file = /a$\n"), "refers to"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\nstate_path = $instances_path\ninstances_path = $state_path\n"), "refers to itself"));
}

TEST_F(ConfigFile, UnknownOptionIsAWarningWithPlaceAndNearestName) {
  const std::string path = write("[libvirt]\nvirt_typ = kvm\n[DEFAULT]\nresreved_host_memory_mb = 1\nvirt_type = kvm\n");
  const auto loaded = load_config({path}, {});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  ASSERT_EQ(loaded->warnings.size(), 3U);
  EXPECT_EQ(loaded->warnings[0], path + ":2: option [libvirt] virt_typ is not known: the nearest known name is 'virt_type'");
  EXPECT_EQ(loaded->warnings[1], path +
                                     ":4: option [DEFAULT] resreved_host_memory_mb is not known: the nearest known name is "
                                     "'reserved_host_memory_mb'");
  EXPECT_EQ(loaded->warnings[2], path + ":5: option [DEFAULT] virt_type is not known: it is known as [libvirt] virt_type");
  EXPECT_EQ(loaded->config.virt_type, "auto");
}

TEST_F(ConfigFile, OptionsOfNovaThatAreNotUsedAreSaidToBeThat) {
  const auto loaded = load_config({write("[DEFAULT]\ntransport_url = rabbit://x\n[libvirt]\ninject_key = true\n")}, {});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  ASSERT_EQ(loaded->warnings.size(), 2U);
  EXPECT_TRUE(has(loaded->warnings[0], "transport_url is an option of nova that this agent does not use"));
  EXPECT_TRUE(has(loaded->warnings[1], "inject_key is an option of nova"));
}

TEST_F(ConfigFile, SectionsOfOtherServicesAreIgnoredAndMistypedOnesAreNot) {
  const auto loaded = load_config({write("[neutron]\nurl = x\n[keystone_authtoken]\nx=y\n[placement]\n[vnc]\n[wsgi]\n[glance]\n")}, {});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  EXPECT_TRUE(loaded->warnings.empty());
  const auto mistyped = load_config({write("[libvrit]\nvirt_type = kvm\n[default]\n")}, {});
  ASSERT_TRUE(mistyped);
  ASSERT_EQ(mistyped->warnings.size(), 2U);
  EXPECT_TRUE(has(mistyped->warnings[0], ":1: section [libvrit] is not known and is ignored; did you mean [libvirt]?"));
  EXPECT_TRUE(has(mistyped->warnings[1], "did you mean [DEFAULT]?"));
  const auto upper = load_config({write("[LIBVIRT]\nvirt_type = kvm\n")}, {});
  ASSERT_TRUE(upper);
  EXPECT_EQ(upper->config.virt_type, "kvm");
}

TEST_F(ConfigFile, OldNamesOfNovaAreTakenWithAWarningAndYieldToTheNewOnes) {
  const auto loaded = load_config({write("[image_cache]\nsubdirectory_name = new\n[DEFAULT]\nimage_cache_subdirectory_name = old\n"
                                         "vnc_enabled = false\ndhcp_domain = example.org\n")},
                                  {});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  EXPECT_EQ(loaded->config.image_cache_subdirectory_name, "new");
  EXPECT_FALSE(loaded->config.vnc_enabled);
  EXPECT_EQ(loaded->config.dhcp_domain, "example.org");
  ASSERT_EQ(loaded->warnings.size(), 3U);
  EXPECT_TRUE(has(loaded->warnings[1], ":5: [DEFAULT] vnc_enabled is the old name of [vnc] enabled"));
}

TEST_F(ConfigFile, BadValueNamesFileLineOptionValueAndWhatIsAllowed) {
  const std::string path = write("[libvirt]\n\nvirt_type = xen\n");
  const auto loaded = load_config({path}, {});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::kInvalid);
  EXPECT_EQ(loaded.error().message, path + ":3: [libvirt] virt_type = 'xen' is not allowed: it must be auto, kvm, qemu");
  EXPECT_TRUE(has(refusal("[api]\nport = 70000\n"), "a whole number from 1 to 65535"));
  EXPECT_TRUE(has(refusal("[api]\nport = 80x\n"), "'80x' is not allowed"));
  EXPECT_TRUE(has(refusal("[api]\nport =\n"), "'' is not allowed"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\nreserved_host_memory_mb = -1\n"), "from 0"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\nreserved_host_memory_mb = 99999999999999999999\n"), "from 0"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\ndebug = maybe\n"), "true or false"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\ncpu_allocation_ratio = 0\n"), "a number above 0"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\nram_allocation_ratio = nan\n"), "a number above 0"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\ndisk_allocation_ratio = inf\n"), "a number above 0"));
  EXPECT_TRUE(has(refusal("[libvirt]\ndisk_cachemodes = file=fast\n"), "writeback"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\nhost = a\n  b\n"), "a host name"));
}

TEST_F(ConfigFile, PathsMustBeAbsoluteAndClean) {
  for (const std::string bad : {"relative", "/a/../b", "/a/./b", "/a//b", "/", "", "/a/"}) {
    EXPECT_TRUE(has(refusal("[DEFAULT]\ninstances_path = " + bad + "\n"), "an absolute path")) << bad;
  }
  for (const std::string bad : {"..", "a/b", ".hidden", "", "locks"}) {
    EXPECT_TRUE(has(refusal("[image_cache]\nsubdirectory_name = " + bad + "\n"), "one directory name")) << bad;
  }
}

TEST_F(ConfigFile, AddressesMustBeAddresses) {
  for (const std::string bad : {"localhost", "10.0.0", "10.0.0.256", "::g", ""}) {
    EXPECT_TRUE(has(refusal("[api]\nlisten = " + bad + "\n"), "an IPv4 or IPv6 address")) << bad;
  }
  const auto loaded = load_config({write("[vnc]\nserver_listen = ::1\n")}, {});
  ASSERT_TRUE(loaded) << loaded.error().chain();
  EXPECT_EQ(loaded->config.vnc_server_listen, "::1");
}

TEST_F(ConfigFile, CpuOptionsMustFitTogether) {
  EXPECT_TRUE(has(refusal("[libvirt]\ncpu_mode = custom\n"), "needs at least one model"));
  EXPECT_TRUE(has(refusal("[libvirt]\ncpu_models = Haswell\n"), "only allowed with cpu_mode = custom"));
  EXPECT_TRUE(has(refusal("[libvirt]\ncpu_mode = none\ncpu_model_extra_flags = +pcid\n"), "flags need a CPU mode"));
}

TEST_F(ConfigFile, BrokenLinesNameFileLineAndReason) {
  EXPECT_TRUE(has(refusal("[DEFAULT]\nhost\n"), ":2: 'host' is neither a section nor 'name = value'"));
  EXPECT_TRUE(has(refusal("host = a\n"), ":1: option 'host' stands before any section"));
  EXPECT_TRUE(has(refusal("[DEFAULT\n"), ":1: '[DEFAULT' is not a section"));
  EXPECT_TRUE(has(refusal("[]\n"), "is not a section"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\n = x\n"), ":2:"));
  EXPECT_TRUE(has(refusal("[DEFAULT]\n  stray\n"), ":2: the line starts with white space but continues no value"));
  EXPECT_TRUE(has(refusal(std::string("[DEFAULT]\nhost = a\0b\n", 21)), ":2: control character 0x00"));
}

TEST_F(ConfigFile, FilesThatCannotBeReadAreNamed) {
  const auto missing = load_config({dir_ + "/none.conf"}, {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_TRUE(has(missing.error().chain(), dir_ + "/none.conf"));
  const auto directory = load_config({dir_}, {});
  ASSERT_FALSE(directory);
  EXPECT_TRUE(has(directory.error().message, "is not a regular file"));
  const auto large = load_config({write(std::string(kMaxIniBytes + 1, '#'))}, {});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Code::kTooLarge);
}

TEST_F(ConfigFile, OverridesAreCheckedAsStrictlyAsFiles) {
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"debug=true", "is not section.name=value"},
           {"DEFAULT.debug", "is not section.name=value"},
           {"DEFAULT.debgu=true", "the nearest known name is 'debug'"},
           {"nowhere.debug=true", "no option is in that section"},
           {"DEFAULT.debug=perhaps", "command line: [DEFAULT] debug = 'perhaps' is not allowed"},
           {"DEFAULT.log_file=/a\x01", "is not allowed"}}) {
    const auto loaded = load_config({}, {text});
    ASSERT_FALSE(loaded) << text;
    EXPECT_TRUE(has(loaded.error().message, part)) << loaded.error().message;
  }
}

TEST_F(ConfigFile, PrintedConfigLoadsAsTheSameConfig) {
  const auto first = load_config({write("[DEFAULT]\nhost = node-7\nlog_file = /logs/$$5/'q'\ncpu_allocation_ratio = 2.5\n"
                                        "default_availability_zone = \" az 1 \"\n"
                                        "[libvirt]\ncpu_mode = custom\ncpu_models = A, B\ncpu_model_extra_flags = +x,-y\n"
                                        "hw_machine_type = x86_64=q35\n[vnc]\nenabled = off\n")},
                                 {"agent.max_workers=7"});
  ASSERT_TRUE(first) << first.error().chain();
  EXPECT_EQ(first->config.default_availability_zone, " az 1 ");
  const std::string printed = print_config(*first);
  const auto second = load_config({write(printed, "printed.conf")}, {});
  ASSERT_TRUE(second) << second.error().chain() << "\n" << printed;
  EXPECT_TRUE(second->warnings.empty());
  EXPECT_EQ(texts(second->config), texts(first->config));
  EXPECT_TRUE(has(printed, "# command line\nmax_workers = 7\n"));
  EXPECT_TRUE(has(printed, "agent.conf:2\nhost = node-7\n"));
  EXPECT_TRUE(has(printed, "# default\nstate_path = /var/lib/nova\n"));
}

TEST(Options, EachHasAPlaceHelpAndItsOwnMember) {
  std::vector<std::string> names;
  for (const Option& option : option_table()) {
    EXPECT_FALSE(option.help.empty()) << option.name;
    EXPECT_FALSE(is_unused_nova_option(option.section, option.name)) << option.name;
    const auto same_member = [&](const Option& other) { return other.member == option.member; };
    EXPECT_EQ(std::ranges::count_if(option_table(), same_member), 1) << option.name;
    names.push_back(std::string(option.section) + "." + std::string(option.name));
  }
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(Options, MarkdownHasOneRowForEach) {
  const std::string text = options_markdown();
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(text, '\n')), option_table().size() + 2);
  EXPECT_TRUE(has(text, "| `[libvirt]` | `virt_type` | `auto` | auto, kvm, qemu |"));
  EXPECT_TRUE(has(text, "| `[api]` | `port` (ours) | `8774` |"));
}

TEST(Options, NovasUnusedOptionsAreFoundWhateverTheirPlaceInTheList) {
  for (const std::string_view name : {"allow_resize_to_same_host", "transport_url", "volume_usage_poll_interval"}) {
    EXPECT_TRUE(is_unused_nova_option("DEFAULT", name)) << name;
  }
  EXPECT_FALSE(is_unused_nova_option("libvirt", "wait_soft_reboot_second"));
  EXPECT_FALSE(is_unused_nova_option("neutron", "url"));
}

TEST(Nearest, CountsChangesAndSwaps) {
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("libvrit", "libvirt"), 1U);
  EXPECT_EQ(nearest("vitr_type", {"cpu_mode", "virt_type"}), "virt_type");
  EXPECT_EQ(nearest("x", {}), "");
}

}  // namespace
}  // namespace ca
