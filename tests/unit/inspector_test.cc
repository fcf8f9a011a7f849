// What holds for every format. The formats one by one are in inspector_qcow2_test.cc and
// inspector_formats_test.cc, images of the real qemu-img in inspector_qemu_test.cc, mutations of every seed
// in inspector_mutation_test.cc.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>

#include "tests/unit/inspector_checks.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace std::string_literals;
using namespace testing;

TEST(Inspector, EverySeedIsAcceptedAsWhatItIs) {
  for (const auto& seed : image_seeds()) {
    const auto facts = inspect_image(seed.format, seed.image);
    ASSERT_TRUE(facts) << seed.name << ": " << facts.error().chain();
    EXPECT_EQ(facts->format, seed.format) << seed.name;
    const bool flat = seed.format == DiskFormat::kRaw || seed.format == DiskFormat::kIso;
    EXPECT_EQ(facts->virtual_size_bytes, flat ? seed.image.size() : kSeedVirtualSize) << seed.name;
  }
}

TEST(Inspector, NoSeedIsAcceptedAsAnythingElse) {
  for (const auto& seed : image_seeds()) {
    for (int format = 0; format <= static_cast<int>(DiskFormat::kIso); ++format) {
      const auto registered = static_cast<DiskFormat>(format);
      // An ISO's bytes are a disk like any other.
      const bool harmless = registered == DiskFormat::kRaw && seed.format == DiskFormat::kIso;
      if (registered == seed.format || harmless) continue;
      EXPECT_FALSE(inspect_image(registered, seed.image)) << seed.name << " as " << to_string(registered);
    }
  }
}

TEST(Inspector, ContainersRegisteredAsRawAreRefusedByName) {
  EXPECT_REFUSED(DiskFormat::kRaw, qcow2_v3_image(), "registered as raw is refused: its content is qcow2");
  EXPECT_REFUSED(DiskFormat::kRaw, vdi_image(), "its content is vdi");
  EXPECT_REFUSED(DiskFormat::kRaw, vhdx_image(), "its content is vhdx");
  EXPECT_REFUSED(DiskFormat::kRaw, vhd_dynamic_image(), "its content is vhd");
  EXPECT_REFUSED(DiskFormat::kRaw, vhd_fixed_image(), "its last sector is that of a vhd image");
  EXPECT_REFUSED(DiskFormat::kRaw, vmdk_image(vmdk_descriptor_text("monolithicSparse")), "its content is vmdk");
  const std::vector<std::pair<std::string, std::string>> others{{"QED\0"s, "QED"},
                                                                {"LUKS\xba\xbe\0\x01"s, "LUKS"},
                                                                {"COWD\x01", "VMDK version 3 (COWD)"},
                                                                {"WithoutFreeSpace", "Parallels"},
                                                                {"WithouFreSpacExt", "Parallels"},
                                                                {"Bochs Virtual HD Image", "Bochs"},
                                                                {"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", "cloop"},
                                                                {"QFI\xfb\0\0\0\x01"s, "qcow (version 1)"},
                                                                {"# Disk DescriptorFile\nversion=1\n", "VMDK descriptor"},
                                                                {"# a\n\n  \r\n#b\nversion=3\r\n", "VMDK descriptor"},
                                                                {"version=2\n", "VMDK descriptor"}};
  for (const auto& [start, name] : others) {
    SparseImage image(kMiB);
    image.put(0, start);
    EXPECT_REFUSED(DiskFormat::kRaw, image, "its content is " + name);
    EXPECT_REFUSED(DiskFormat::kIso, image, "its content is " + name);
    EXPECT_REFUSED(DiskFormat::kQcow2, image, "its content is " + name);
  }
  SparseImage dmg(kMiB);
  dmg.put(kMiB - 512, "koly");
  EXPECT_REFUSED(DiskFormat::kRaw, dmg, "its last sector is that of a DMG image");
  SparseImage old_vhd(kMiB);
  old_vhd.put(kMiB - 511, "conectix");
  EXPECT_REFUSED(DiskFormat::kRaw, old_vhd, "its last sector is that of a vhd image");
}

TEST(Inspector, OrdinaryRawDisksAreFine) {
  SparseImage zeros(kMiB);
  EXPECT_EQ(refusal(DiskFormat::kRaw, zeros), "");
  SparseImage text(77);
  text.put(0, "#!/bin/sh\necho version=1\n");
  EXPECT_EQ(refusal(DiskFormat::kRaw, text), "");
  SparseImage tiny(1);
  EXPECT_EQ(refusal(DiskFormat::kRaw, tiny), "");
  SparseImage hybrid = iso_image();
  hybrid.put(0, "\x33\xed\x90"s).put(510, "\x55\xaa");
  EXPECT_EQ(refusal(DiskFormat::kRaw, hybrid), "");
}

TEST(Inspector, EmptyAndUnregisteredFilesAreRefused) {
  for (int format = 0; format <= static_cast<int>(DiskFormat::kIso); ++format) {
    EXPECT_REFUSED(static_cast<DiskFormat>(format), SparseImage(0), "it is empty");
  }
  const auto facts = inspect_image(DiskFormat::kUnknown, SparseImage(512));
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().code, Code::kInvalid);
}

TEST(Inspector, FilesWithoutTheirMagicAreRefused) {
  for (const auto format : {DiskFormat::kQcow2, DiskFormat::kVmdk, DiskFormat::kVdi, DiskFormat::kVhdx}) {
    EXPECT_REFUSED(format, raw_mbr_image(), "it does not start as a " + std::string(to_string(format)) + " image does");
  }
  EXPECT_REFUSED(DiskFormat::kVhd, raw_mbr_image(), "there is no VHD footer");
  EXPECT_REFUSED(DiskFormat::kIso, raw_mbr_image(), "no ISO 9660 volume descriptor");
}

TEST(FileSource, LinksAndSpecialFilesAreRefused) {
  const ScratchDir dir;
  write_text(dir / "file", "abc");
  std::filesystem::create_symlink(dir / "file", dir / "link");
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_TRUE(open_file_source(dir / "file"));
  for (const auto& name : {dir / "link", dir / "fifo", dir.path(), std::string("/dev/zero")}) {
    const auto source = open_file_source(name);
    ASSERT_FALSE(source) << name;
    EXPECT_EQ(source.error().code, Code::kInvalid) << source.error().chain();
  }
  const auto missing = open_file_source(dir / "missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
}

TEST(FileSource, ReadsExactlyWhatIsAskedOrSaysTruncated) {
  const ScratchDir dir;
  write_text(dir / "file", "0123456789");
  const auto source = open_file_source(dir / "file");
  ASSERT_TRUE(source);
  EXPECT_EQ((*source)->size(), 10);
  std::array<std::byte, 4> buffer{};
  ASSERT_TRUE((*source)->read_at(6, buffer));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(buffer.data()), 4), "6789");
  for (const std::int64_t offset : {std::int64_t{7}, std::int64_t{-1}, INT64_MAX}) {
    const auto read = (*source)->read_at(offset, buffer);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Code::kInvalid);
    EXPECT_NE(read.error().message.find("truncated"), std::string::npos);
  }
}

}  // namespace
}  // namespace ca
