#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "drivers/config_drive.h"
#include "drivers/process/posix/posix_process_runner.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace testing;

ConfigDriveFiles nova_like_files() {
  ConfigDriveFiles files;
  for (const auto* version : {"2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22",
                              "2018-08-27", "2020-10-14", "latest"}) {
    const std::string dir = std::string("openstack/") + version + "/";
    files[dir + "meta_data.json"] = R"({"uuid": "8f056fce-b04e-4956-99e0-d2f8b9ae909a", "name": "Zürich <&> \"x\""})";
    files[dir + "network_data.json"] = std::string(5000, 'n');
    files[dir + "user_data"] = std::string("#cloud-config\n\0\xff", 16);
    files[dir + "vendor_data2.json"] = "{}";
    files[dir + "empty"] = "";
  }
  files["ec2/latest/meta-data.json"] = "{}";
  files["ec2/2009-04-04/meta-data.json"] = "{}";
  return files;
}

// Every file of an ISO, by its Rock Ridge name, as libarchive reads it.
ConfigDriveFiles read_iso(const std::string& path) {
  ConfigDriveFiles files;
  const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
  EXPECT_EQ(archive_read_support_format_iso9660(reader.get()), ARCHIVE_OK);
  EXPECT_EQ(archive_read_open_filename(reader.get(), path.c_str(), 4096), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader.get(), &entry) == ARCHIVE_OK) {
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
    // libarchive tells identical files as links to the first.
    if (const char* same = archive_entry_hardlink(entry)) {
      content = files[same];
    } else if (!content.empty()) {
      EXPECT_EQ(archive_read_data(reader.get(), content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
    }
    files[archive_entry_pathname(entry)] = content;
  }
  return files;
}

class ConfigDrive : public ::testing::Test {
 protected:
  std::string run(std::vector<std::string> argv) {
    const auto result = make_posix_process_runner()->run({.argv = std::move(argv)});
    EXPECT_TRUE(result) << result.error().chain();
    return result ? result->out : "";
  }

  const ScratchDir dir_;
  const std::string path_ = dir_ / "disk.config";
};

TEST_F(ConfigDrive, EveryFileReadsBackAsItWasGiven) {
  const auto files = nova_like_files();
  const auto written = write_config_drive(path_, files);
  ASSERT_TRUE(written) << written.error().chain();
  EXPECT_EQ(read_iso(path_), files);
  EXPECT_EQ(names_in(dir_.path()), std::vector<std::string>{"disk.config"});
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  EXPECT_EQ(info.st_size % 2048, 0);
}

// ECMA-119 8.4: what cloud-init goes by when it looks for the drive.
TEST_F(ConfigDrive, TheVolumeIsCalledConfig2) {
  ASSERT_TRUE(write_config_drive(path_, nova_like_files()));
  const std::string image = read_text(path_);
  EXPECT_EQ(image.substr(32768, 6),
            "\x01"
            "CD001");
  EXPECT_EQ(image.substr(32768 + 40, 32), "config-2" + std::string(24, ' '));
  EXPECT_EQ(image.substr(32768 + 318, 15), "OpenStack Nova ");
}

TEST_F(ConfigDrive, OtherReadersSeeIt) {
  ASSERT_TRUE(write_config_drive(path_, nova_like_files()));
  if (::access("/usr/bin/isoinfo", X_OK) != 0 || ::access("/sbin/blkid", X_OK) != 0) {
    GTEST_SKIP() << "isoinfo or blkid is not installed (packages genisoimage, util-linux)";
  }
  const std::string probed = run({"/sbin/blkid", "-p", "-o", "export", path_});
  EXPECT_NE(probed.find("\nLABEL=config-2\n"), std::string::npos) << probed;
  EXPECT_NE(probed.find("\nTYPE=iso9660\n"), std::string::npos) << probed;
  const std::string rock_ridge = run({"/usr/bin/isoinfo", "-R", "-f", "-i", path_});
  EXPECT_NE(rock_ridge.find("/openstack/2018-08-27/network_data.json\n"), std::string::npos) << rock_ridge;
  const std::string joliet = run({"/usr/bin/isoinfo", "-J", "-f", "-i", path_});
  EXPECT_NE(joliet.find("/openstack/latest/meta_data.json\n"), std::string::npos) << joliet;
  EXPECT_EQ(run({"/usr/bin/isoinfo", "-R", "-i", path_, "-x", "/openstack/latest/user_data"}), std::string("#cloud-config\n\0\xff", 16));
}

TEST_F(ConfigDrive, APathThatLeavesTheDriveIsRefused) {
  for (const auto& path :
       {std::string("/etc/passwd"), std::string("../x"), std::string("a/../../x"), std::string("a//b"), std::string("a/./b"),
        std::string(""), std::string("a/"), std::string("a\0b", 3), std::string("1/2/3/4/5/6/7/8"), std::string(256, 'x')}) {
    const auto written = write_config_drive(path_, {{path, "x"}});
    ASSERT_FALSE(written) << path;
    EXPECT_EQ(written.error().code, Code::kInvalid);
    EXPECT_TRUE(names_in(dir_.path()).empty());
  }
}

TEST_F(ConfigDrive, AFileThatIsAlsoADirectoryIsRefused) {
  const auto written = write_config_drive(path_, {{"openstack", "x"}, {"openstack/latest/user_data", "y"}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kInvalid) << written.error().chain();
  EXPECT_TRUE(names_in(dir_.path()).empty());
}

TEST_F(ConfigDrive, TooMuchContentIsRefused) {
  const auto written = write_config_drive(path_, {{"user_data", std::string((64 << 20) + 1, 'x')}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kTooLarge);
}

TEST_F(ConfigDrive, AnExistingDriveIsReplacedWhole) {
  ASSERT_TRUE(write_config_drive(path_, {{"a", std::string(100'000, 'a')}}));
  ASSERT_TRUE(write_config_drive(path_, {{"b", "b"}}));
  EXPECT_EQ(read_iso(path_), (ConfigDriveFiles{{"b", "b"}}));
}

TEST_F(ConfigDrive, ADriveWithoutADirectoryToWriteToSaysSo) {
  const auto written = write_config_drive(dir_ / "missing/disk.config", {{"a", "a"}});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kNotFound);
}

// Exits with 42 when the error is as it should be. RLIMIT_FSIZE makes write(2) fail as a full disk does.
[[noreturn]] void write_under_a_limit(const std::string& path) {
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{4096, 4096};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const auto written = write_config_drive(path, nova_like_files());
  ::_exit(!written && written.error().code == Code::kTooLarge ? 42 : 1);
}

TEST_F(ConfigDrive, AFailedWriteComesThroughAndLeavesNothing) {
  EXPECT_EXIT(write_under_a_limit(path_), ::testing::ExitedWithCode(42), "");
  EXPECT_TRUE(names_in(dir_.path()).empty());
}

}  // namespace
}  // namespace ca
