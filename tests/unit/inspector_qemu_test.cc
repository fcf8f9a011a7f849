// Images as the real qemu-img makes them.

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "drivers/image.h"
#include "drivers/process/posix/posix_process_runner.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

constexpr const char* kQemuImg = "/usr/bin/qemu-img";

class QemuImages : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access(kQemuImg, X_OK) != 0) GTEST_SKIP() << kQemuImg << " is not installed (package qemu-utils)";
  }

  void run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), kQemuImg);
    const auto result = runner_->run({.argv = arguments});
    ASSERT_TRUE(result) << result.error().chain();
    ASSERT_EQ(result->exit_status, 0) << result->err;
    out_ = result->out;
  }

  std::string create(const std::string& format, const std::string& options, const std::string& size) {
    std::string path = dir_ / ("image" + std::to_string(++number_));
    std::vector<std::string> arguments{"create", "-q", "-f", format};
    if (!options.empty()) arguments.insert(arguments.end(), {"-o", options});
    arguments.insert(arguments.end(), {path, size});
    run(arguments);
    return path;
  }

  Result<ImageFacts> inspect(DiskFormat format, const std::string& path) {
    CA_TRY(const auto source, open_file_source(path));
    return inspect_image(format, *source);
  }

  // Accepted, with the size that qemu sees.
  void expect_accepted(DiskFormat format, const std::string& qemu_format, const std::string& path) {
    const auto facts = inspect(format, path);
    ASSERT_TRUE(facts) << facts.error().chain();
    run({"info", "-f", qemu_format, "--output=json", path});
    EXPECT_EQ(facts->virtual_size_bytes, nlohmann::json::parse(out_).at("virtual-size").get<std::int64_t>());
  }

  void expect_refused(DiskFormat format, const std::string& path, const std::string& words) {
    const auto facts = inspect(format, path);
    ASSERT_FALSE(facts) << path;
    EXPECT_EQ(facts.error().code, Code::kUnsafe);
    EXPECT_NE(facts.error().chain().find(words), std::string::npos) << facts.error().chain();
  }

  // A raw disk with something in it.
  std::string raw_disk() {
    std::string path = dir_ / "raw";
    testing::write_text(path, std::string(3 << 20, 'd') + std::string(5 << 20, '\0'));
    return path;
  }

  const testing::ScratchDir dir_;
  std::unique_ptr<ProcessRunner> runner_ = make_posix_process_runner();
  std::string out_;
  int number_ = 0;
};

TEST_F(QemuImages, Qcow2OfEveryKindIsAccepted) {
  for (const auto* options :
       {"compat=0.10", "compat=1.1", "compat=v3,cluster_size=512", "cluster_size=2M", "extended_l2=on", "lazy_refcounts=on",
        "compression_type=zstd", "refcount_bits=1", "refcount_bits=64", "preallocation=metadata"}) {
    for (const auto* size : {"1M", "100G"}) {
      SCOPED_TRACE(std::string(options) + " " + size);
      if (std::string(options).find("=512") != std::string::npos || std::string(options) == "preallocation=metadata") size = "64M";
      expect_accepted(DiskFormat::kQcow2, "qcow2", create("qcow2", options, size));
    }
  }
}

TEST_F(QemuImages, CompressedAndSnapshottedQcow2IsAccepted) {
  const std::string compressed = dir_ / "compressed";
  run({"convert", "-q", "-c", "-f", "raw", "-O", "qcow2", raw_disk(), compressed});
  expect_accepted(DiskFormat::kQcow2, "qcow2", compressed);
  const std::string disk = create("qcow2", "", "8M");
  run({"snapshot", "-c", "first", disk});
  expect_accepted(DiskFormat::kQcow2, "qcow2", disk);
}

TEST_F(QemuImages, Qcow2ThatRefersToAnotherFileIsRefused) {
  const std::string base = raw_disk();
  const std::string overlay = dir_ / "overlay";
  run({"create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, overlay});
  expect_refused(DiskFormat::kQcow2, overlay, "it has a backing file");
  expect_refused(DiskFormat::kQcow2, create("qcow2", "data_file=" + (dir_ / "data"), "1M"), "external file");
  const std::string secret = dir_ / "secret";
  testing::write_text(secret, "secret");
  const std::string encrypted = dir_ / "encrypted";  // not LUKS: qemu-img measures the CPU for its key and fails on a busy machine
  run({"create", "-q", "-f", "qcow2", "--object", "secret,id=s,file=" + secret, "-o", "encrypt.format=aes,encrypt.key-secret=s", encrypted,
       "1M"});
  expect_refused(DiskFormat::kQcow2, encrypted, "it is encrypted (method 1)");
}

TEST_F(QemuImages, VmdkIsAcceptedOnlyInOneFile) {
  expect_accepted(DiskFormat::kVmdk, "vmdk", create("vmdk", "", "64M"));
  const std::string stream = dir_ / "stream.vmdk";
  run({"convert", "-q", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw_disk(), stream});
  expect_accepted(DiskFormat::kVmdk, "vmdk", stream);
  expect_refused(DiskFormat::kVmdk, create("vmdk", "subformat=monolithicFlat", "64M"), "its content is VMDK descriptor");
  expect_refused(DiskFormat::kVmdk, create("vmdk", "subformat=twoGbMaxExtentSparse", "64M"), "its content is VMDK descriptor");
  const std::string child = dir_ / "child.vmdk";
  run({"create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", stream, child});
  expect_refused(DiskFormat::kVmdk, child, "parent image");
}

TEST_F(QemuImages, TheOtherFormatsAreAccepted) {
  expect_accepted(DiskFormat::kVdi, "vdi", create("vdi", "", "64M"));
  expect_accepted(DiskFormat::kVdi, "vdi", create("vdi", "static=on", "8M"));
  expect_accepted(DiskFormat::kVhd, "vpc", create("vpc", "", "64M"));
  expect_accepted(DiskFormat::kVhd, "vpc", create("vpc", "force_size=on", "64M"));
  expect_accepted(DiskFormat::kVhd, "vpc", create("vpc", "subformat=fixed", "8M"));
  expect_accepted(DiskFormat::kVhd, "vpc", create("vpc", "subformat=fixed,force_size=on", "8M"));
  expect_accepted(DiskFormat::kVhdx, "vhdx", create("vhdx", "", "64M"));
  expect_accepted(DiskFormat::kVhdx, "vhdx", create("vhdx", "", "2T"));
  expect_accepted(DiskFormat::kVhdx, "vhdx", create("vhdx", "subformat=fixed", "8M"));
  expect_accepted(DiskFormat::kVhdx, "vhdx", create("vhdx", "block_size=16M,log_size=2M", "64M"));
  expect_accepted(DiskFormat::kRaw, "raw", create("raw", "", "64M"));
}

TEST_F(QemuImages, WhatIsRegisteredAsRawAndIsNotIsRefused) {
  for (const auto* format : {"qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "vhdx", "parallels"}) {
    SCOPED_TRACE(format);
    expect_refused(DiskFormat::kRaw, create(format, "", "64M"), "its content is ");
  }
  expect_refused(DiskFormat::kRaw, create("vpc", "subformat=fixed", "8M"), "its last sector is that of a vhd");
  for (const auto registered :
       {DiskFormat::kQcow2, DiskFormat::kVmdk, DiskFormat::kVdi, DiskFormat::kVhd, DiskFormat::kVhdx, DiskFormat::kIso}) {
    expect_refused(registered, create("qed", "", "1M"), "its content is QED");
  }
}

}  // namespace
}  // namespace ca
