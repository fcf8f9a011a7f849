// Crafted headers: each test changes one thing in a valid image. Images of the real qemu-img are in inspector_qemu_test.cc, mutations
// of every seed in inspector_mutation_test.cc.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <functional>

#include "drivers/image.h"
#include "tests/data/image_seeds.h"
#include "tests/unit/scratch_dir.h"

namespace ca {
namespace {

using namespace std::string_literals;
using namespace testing;

constexpr std::int64_t kCluster = 65536;

// The reason for the refusal; empty when the image was accepted.
std::string reason(DiskFormat registered, const ByteSource& image) {
  const auto facts = inspect_image(registered, image);
  if (facts) return {};
  EXPECT_EQ(facts.error().code, Code::kUnsafe) << facts.error().chain();
  return facts.error().chain();
}

#define EXPECT_REFUSED(registered, image, words)                                        \
  do {                                                                                  \
    const std::string why = reason(registered, image);                                  \
    EXPECT_NE(why.find(words), std::string::npos) << "expected: " << words << "\ngot: " << why; \
  } while (false)

std::string qcow2_reason(const std::function<void(SparseImage&)>& change, bool v3 = true) {
  SparseImage image = v3 ? qcow2_v3_image() : qcow2_v2_image();
  change(image);
  return reason(DiskFormat::kQcow2, image);
}

#define EXPECT_QCOW2_REFUSED(change, words) \
  EXPECT_PRED2([](const std::string& why, const std::string& expected) { return why.find(expected) != std::string::npos; }, \
               qcow2_reason([](SparseImage& i) { change; }), std::string(words))

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
  const std::vector<std::pair<std::string, std::string>> others{
      {"QED\0"s, "QED"},
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
  EXPECT_EQ(reason(DiskFormat::kRaw, zeros), "");
  SparseImage text(77);
  text.put(0, "#!/bin/sh\necho version=1\n");
  EXPECT_EQ(reason(DiskFormat::kRaw, text), "");
  SparseImage tiny(1);
  EXPECT_EQ(reason(DiskFormat::kRaw, tiny), "");
  SparseImage hybrid = iso_image();
  hybrid.put(0, "\x33\xed\x90"s).put(510, "\x55\xaa");
  EXPECT_EQ(reason(DiskFormat::kRaw, hybrid), "");
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

TEST(InspectorQcow2, BackingFilesAreRefused) {
  EXPECT_QCOW2_REFUSED(i.be64(8, 1000).be32(16, 11).put(1000, "/etc/passwd"), "it has a backing file (name of 11 bytes at offset 1000)");
  EXPECT_NE(qcow2_reason([](SparseImage& i) { i.be64(8, 1000).be32(16, 11); }, false).find("backing file"), std::string::npos);
  EXPECT_QCOW2_REFUSED(i.be64(8, std::uint64_t{1} << 63), "it has a backing file");
  EXPECT_QCOW2_REFUSED(put_qcow2_extension(i, 112, 0xe2792aca, "raw"), "format of a backing file");
}

TEST(InspectorQcow2, ExternalDataFilesAreRefused) {
  EXPECT_QCOW2_REFUSED(i.be64(72, 4), "external file (incompatible feature bit 2)");
  EXPECT_QCOW2_REFUSED(put_qcow2_extension(i, 112, 0x44415441, "/etc/shadow"), "names an external data file");
  EXPECT_QCOW2_REFUSED(put_qcow2_extension(i, put_qcow2_extension(i, 112, 1234, "other"), 0x44415441, "x"), "names an external data file");
}

TEST(InspectorQcow2, FeaturesAreKnownOrRefused) {
  EXPECT_QCOW2_REFUSED(i.be64(72, 2), "marked corrupt");
  for (int bit = 5; bit < 64; ++bit) {
    EXPECT_NE(qcow2_reason([&](SparseImage& i) { i.be64(72, std::uint64_t{1} << bit); }).find("unknown incompatible features"), std::string::npos) << bit;
  }
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(72, 1); }), "");                      // dirty: refcounts only
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(72, 8).put(104, "\x01"); }), "");     // zstd
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(72, 16); }), "");                     // extended L2
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(80, ~0ULL).be64(88, ~0ULL & ~2ULL); }), "");  // compatible ones
  EXPECT_QCOW2_REFUSED(i.put(104, "\x01"), "compression type 1");
  EXPECT_QCOW2_REFUSED(i.be64(72, 8), "compression type 0");
  EXPECT_QCOW2_REFUSED(i.be64(72, 8).put(104, "\x02"), "compression type 2");
  EXPECT_QCOW2_REFUSED(i.be32(32, 1), "it is encrypted (method 1)");
  EXPECT_QCOW2_REFUSED(i.be32(32, 2), "it is encrypted (method 2)");
  EXPECT_QCOW2_REFUSED(put_qcow2_extension(i, 112, 0x0537be77, std::string(16, 'x')), "it is encrypted");
}

TEST(InspectorQcow2, VersionAndLengthComeFirst) {
  EXPECT_QCOW2_REFUSED(i.be32(4, 4), "version is 4, not 2 or 3");
  EXPECT_QCOW2_REFUSED(i.be32(4, 0), "version is 0");
  // A version 2 header ends at 72: what a version 3 one would have there does not count.
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(72, 0).be32(96, 99).be32(100, 7); }, false), "");
  for (const std::uint32_t length : {0U, 72U, 96U, 103U, 105U, 65544U, ~0U}) {
    EXPECT_NE(qcow2_reason([&](SparseImage& i) { i.be32(100, length); }).find("its header length is " + std::to_string(length)), std::string::npos);
  }
  EXPECT_QCOW2_REFUSED(i.be32(96, 7), "refcount_order is 7");
}

TEST(InspectorQcow2, GeometryIsWithinTheFormatsBounds) {
  EXPECT_QCOW2_REFUSED(i.be32(20, 8), "cluster_bits is 8");
  EXPECT_QCOW2_REFUSED(i.be32(20, 22), "cluster_bits is 22");
  EXPECT_QCOW2_REFUSED(i.be32(20, 0xffffffff), "cluster_bits is 4294967295");
  EXPECT_QCOW2_REFUSED(i.be64(24, 0), "virtual size is 0 bytes");
  EXPECT_QCOW2_REFUSED(i.be64(24, ~0ULL), "virtual size is 18446744073709551615 bytes");
  EXPECT_QCOW2_REFUSED(i.be64(24, 1ULL << 62), "is more than clusters of 65536 can have");
  EXPECT_QCOW2_REFUSED(i.be64(24, 1ULL << 40), "L1 table has 1 entries, but a virtual size of 1099511627776 bytes needs 2048");
  EXPECT_QCOW2_REFUSED(i.be32(36, 0), "L1 table has 0 entries");
  EXPECT_QCOW2_REFUSED(i.be32(36, 0xffffffff), "L1 table has 4294967295 entries, more than 4194304");
  EXPECT_QCOW2_REFUSED(i.be32(36, 100000), "truncated: its L1 table");
}

TEST(InspectorQcow2, TablesLieWithinTheFile) {
  EXPECT_QCOW2_REFUSED(i.be64(40, 0), "its L1 table is at offset 0");
  EXPECT_QCOW2_REFUSED(i.be64(40, kCluster + 512), "its L1 table is at offset 66048");
  EXPECT_QCOW2_REFUSED(i.be64(40, 5 * kCluster), "truncated: its L1 table");
  EXPECT_QCOW2_REFUSED(i.be64(40, ~0ULL << 16), "truncated: its L1 table");
  EXPECT_QCOW2_REFUSED(i.be64(48, 0), "its refcount table is at offset 0");
  EXPECT_QCOW2_REFUSED(i.be64(48, 1ULL << 48), "truncated: its refcount table");
  EXPECT_QCOW2_REFUSED(i.be32(56, 0), "refcount table has 0 clusters");
  EXPECT_QCOW2_REFUSED(i.be32(56, 129), "refcount table has 129 clusters");
  EXPECT_QCOW2_REFUSED(i.be32(56, 5), "truncated: its refcount table");
  EXPECT_QCOW2_REFUSED(i.be32(60, 65537), "65537 internal snapshots");
  EXPECT_QCOW2_REFUSED(i.be32(60, 1), "its snapshot table is at offset 0");
}

TEST(InspectorQcow2, ExtensionsAreBounded) {
  EXPECT_QCOW2_REFUSED(put_qcow2_extension(i, 112, 1234, ""); i.be32(116, 0xfffffff8), "beyond the first cluster");
  EXPECT_QCOW2_REFUSED(put_qcow2_extension(i, 112, 1234, ""); i.be32(116, 0xffffffff), "beyond the first cluster");
  EXPECT_QCOW2_REFUSED(for (int n = 0; n < 70; ++n) put_qcow2_extension(i, 112 + 8 * n, 1234, ""), "more than 64 header extensions");
  // One that fills the first cluster to its last byte needs no end mark.
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { put_qcow2_extension(i, 112, 1234, std::string(kCluster - 120, 'x')); }), "");
}

TEST(InspectorQcow2, EveryTruncationIsRefused) {
  const SparseImage whole = qcow2_v3_image();
  const std::int64_t needed = 3 * kCluster + 8;  // the end of the L1 table
  for (std::int64_t size = 1; size < needed; size += size < 200 ? 1 : 997) {
    SparseImage cut = whole;
    cut.resize(size);
    EXPECT_NE(reason(DiskFormat::kQcow2, cut), "") << size;
  }
}

TEST(InspectorVmdk, OnlySelfContainedKindsAreTaken) {
  for (const auto* type : {"monolithicSparse", "streamOptimized", "MONOLITHICSPARSE"}) {
    EXPECT_EQ(reason(DiskFormat::kVmdk, vmdk_image(vmdk_descriptor_text(type))), "") << type;
  }
  for (const auto* type : {"monolithicFlat", "twoGbMaxExtentSparse", "vmfs", "fullDevice", "custom", ""}) {
    EXPECT_REFUSED(DiskFormat::kVmdk, vmdk_image(vmdk_descriptor_text(type)), "its createType is \"");
  }
}

TEST(InspectorVmdk, TheDescriptorRefersToNothingElse) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = vmdk_descriptor_text("monolithicSparse");
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return vmdk_image(text.replace(at, from.size(), to));
  };
  const std::string extent = "RW 131072 SPARSE \"disk.vmdk\"";
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, "RW 131072 FLAT \"disk.vmdk\" 0"), "an extent that is not SPARSE");
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, "RW 131072 SPARSE \"/etc/passwd\""), "an extent with a path");
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, "RW 131072 SPARSE \"..\\x\""), "an extent with a path");
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, "RW 131072 SPARSE \"nbd:x\""), "an extent with a path");
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, "RW 131072 SPARSE disk.vmdk"), "without a quoted name");
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, "RW x SPARSE \"disk.vmdk\""), "not a valid extent");
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, "RW"), "not a valid extent");
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, extent + "\n" + extent), "2 extents, not one");
  EXPECT_REFUSED(DiskFormat::kVmdk, with(extent, ""), "0 extents, not one");
  EXPECT_REFUSED(DiskFormat::kVmdk, with("parentCID=ffffffff", "parentCID=12345678"), "depends on a parent image");
  EXPECT_REFUSED(DiskFormat::kVmdk, with("parentCID=", "PARENTcid = \"0\"\nx="), "depends on a parent image");
  EXPECT_REFUSED(DiskFormat::kVmdk, with("CID=", "parentFileNameHint=\"/etc/passwd\"\nCID="), "names a parent image");
  EXPECT_REFUSED(DiskFormat::kVmdk, with("# Extent", "createType=\"vmfs\"\n# Extent"), "createType again");
  EXPECT_REFUSED(DiskFormat::kVmdk, with("version=1", "version 1"), "line 2 of its descriptor makes no sense");
  EXPECT_REFUSED(DiskFormat::kVmdk, with("createType=", "created="), "no createType");
  EXPECT_REFUSED(DiskFormat::kVmdk, with("version=1", "version=\x80"), "not ASCII");
  EXPECT_REFUSED(DiskFormat::kVmdk, with("# The Disk", "\0# The Disk"s), "goes on after its end");
  EXPECT_EQ(reason(DiskFormat::kVmdk, with("\nversion=1\n", "\r\nversion=1\r\nencoding=\"UTF-8\"\r\n")), "");
}

// qemu looks for the parent in the 20 sectors behind the header, whatever size the header gives the descriptor.
TEST(InspectorVmdk, AParentHiddenBehindTheDescriptorIsRefused) {
  SparseImage image = vmdk_image(vmdk_descriptor_text("monolithicSparse"));
  image.le64(36, 1).put(1024 + 100, "parentFileNameHint=\"/etc/passwd\"");
  EXPECT_REFUSED(DiskFormat::kVmdk, image, "names a parent image outside its descriptor");
}

TEST(InspectorVmdk, TheHeaderIsChecked) {
  const auto with = [](const std::function<void(SparseImage&)>& change) {
    SparseImage image = vmdk_image(vmdk_descriptor_text("monolithicSparse"));
    change(image);
    return image;
  };
  // qemu would follow the descriptor's extents then.
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(12, 0); }), "its capacity is 0 sectors");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(12, ~0ULL); }), "its capacity is");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(12, 1ULL << 50); }), "truncated: its grain directory");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le32(4, 4); }), "VMDK version is 4");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(20, 0); }), "its grain size is 0");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le32(44, 0); }), "grain tables have 0 entries");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le32(44, 513); }), "grain tables have 513 entries");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(28, 2); }), "not 1 to 2048 at sector 1");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(28, ~0ULL); }), "not 1 to 2048 at sector 1");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(36, 0); }), "its descriptor takes 0 sectors");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(36, 1ULL << 55); }), "its descriptor takes");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(36, 2048); }), "truncated: the VMDK descriptor");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(56, 128); }), "truncated: its grain directory");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(48, 1ULL << 60); }), "truncated: its grain directory");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.le64(64, 129); }), "truncated: its metadata");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([](auto& i) { i.put(77, "\x02"); }), "compression method 2");
}

TEST(InspectorVmdk, AFooterMustAgreeWithTheHeader) {
  SparseImage image = vmdk_stream_image();
  const std::int64_t footer = image.size() - 1024;
  const auto with = [&](const std::function<void(SparseImage&)>& change) {
    SparseImage changed = image;
    change(changed);
    return changed;
  };
  EXPECT_REFUSED(DiskFormat::kVmdk, with([&](auto& i) { i.le64(footer + 12, 0); }), "header and its footer differ");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([&](auto& i) { i.le64(footer + 28, 3); }), "header and its footer differ");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([&](auto& i) { i.le64(footer + 56, ~0ULL); }), "does not say where the grain directory is");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([&](auto& i) { i.put(footer, "x"); }), "not a footer");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([&](auto& i) { i.resize(i.size() - 512); }), "not a footer");
  EXPECT_REFUSED(DiskFormat::kVmdk, with([&](auto& i) { i.resize(i.size() - 100); }), "do not end with a footer");
}

TEST(InspectorVdi, ParentsAndOddLayoutsAreRefused) {
  const auto with = [](const std::function<void(SparseImage&)>& change) {
    SparseImage image = vdi_image();
    change(image);
    return image;
  };
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.put(0x1a8, "x"); }), "depends on a parent image");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.put(0x1c7, "x"); }), "depends on a parent image");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x4c, 4); }), "image type is 4");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x44, 0x00020000); }), "VDI version is 2.0");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x48, 0x100); }), "header length is 256");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x48, ~0U); }), "header length is 4294967295");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le64(0x170, ~0ULL); }), "does not fit into its 64 blocks");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le64(0x170, 0); }), "virtual size of 0 bytes");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x180, ~0U); }), "its block map of 4294967295 entries");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x154, 0); }), "its block map");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x158, 0xfffffe00); }), "truncated: its data starts");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x168, 4096); }), "sector size is 4096");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x178, 512); }), "block size is 512");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x17c, 8); }), "8 extra bytes");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.le32(0x184, 65); }), "65 blocks allocated of 64");
  EXPECT_REFUSED(DiskFormat::kVdi, with([](auto& i) { i.resize(511); }), "truncated: the VDI header");
}

std::string vhd_reason(SparseImage image, const std::function<void(SparseImage&)>& change) {
  change(image);
  seal_vhd(image);
  return reason(DiskFormat::kVhd, image);
}

#define EXPECT_SAYS(why, words) EXPECT_NE((why).find(words), std::string::npos) << (why)

TEST(InspectorVhd, ParentsAndOddLayoutsAreRefused) {
  const auto both = [](std::int64_t at, std::uint32_t value) {
    return [=](SparseImage& i) { i.be32(at, value).be32(kVhdDynamicFooter + at, value); };
  };
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), both(60, 4)), "it has a parent image");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), both(60, 9)), "disk type is 9");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), both(60, 2)), "which its start contradicts");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), both(12, 0x20000)), "VHD version is 0x20000");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), both(48, ~0U)), "its virtual size is");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.be32(52, 512); }), "its footer and the copy in front differ");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.put(kVhdDynamicHeader + 40, "parent"); }), "names a parent image");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.put(kVhdDynamicHeader + 64, "p"); }), "names a parent image");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.put(kVhdDynamicHeader + 576, "W2ku"); }), "names a parent image");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.be32(kVhdDynamicHeader + 32, 3000); }), "block size is 3000");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.be32(kVhdDynamicHeader + 28, 31); }), "too few for a virtual size");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.be32(kVhdDynamicHeader + 28, ~0U); }), "truncated: its block table");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.be64(kVhdDynamicHeader + 16, ~0ULL); }), "truncated: its block table");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.put(kVhdDynamicHeader, "x"); }), "no dynamic disk header at offset 512");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.be64(16, 1ULL << 62).be64(kVhdDynamicFooter + 16, 1ULL << 62); }), "truncated: the dynamic disk header");
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.resize(kVhdDynamicFooter); }), "there is no VHD footer");
}

TEST(InspectorVhd, ChecksumsMustMatch) {
  SparseImage image = vhd_dynamic_image();
  image.put(kVhdDynamicFooter + 70, "!");
  EXPECT_REFUSED(DiskFormat::kVhd, image, "the checksum of its footer");
  image = vhd_dynamic_image();
  image.put(kVhdDynamicHeader + 900, "!");
  EXPECT_REFUSED(DiskFormat::kVhd, image, "the checksum of its dynamic disk header");
}

TEST(InspectorVhd, AFixedDiskHoldsAllOfItsSize) {
  EXPECT_SAYS(vhd_reason(vhd_fixed_image(), [](auto& i) { i.be64(kSeedVirtualSize + 48, kSeedVirtualSize + 512); }), "truncated: its virtual size is 67109376 bytes");
  // A fixed disk whose first sectors are another container would be taken for that by a probe.
  EXPECT_SAYS(vhd_reason(vhd_fixed_image(), [](auto& i) { i.put(0, "QFI\xfb\0\0\0\x03"s); }), "its content is qcow2");
}

TEST(InspectorVhd, TheSizeComesFromTheGeometryAsInQemu) {
  SparseImage image = vhd_fixed_image();
  image.put(kSeedVirtualSize + 28, "vpc ");
  seal_vhd(image);
  const auto facts = inspect_image(DiskFormat::kVhd, image);
  ASSERT_TRUE(facts) << facts.error().chain();
  EXPECT_EQ(facts->virtual_size_bytes, std::int64_t{963} * 8 * 17 * 512);
}

std::string vhdx_reason(const std::function<void(SparseImage&)>& change) {
  SparseImage image = vhdx_image();
  change(image);
  seal_vhdx(image);
  return reason(DiskFormat::kVhdx, image);
}

TEST(InspectorVhdx, HeadersAreChecked) {
  EXPECT_EQ(vhdx_reason([](auto& i) { i.put(kVhdxHeader2, "x"); }), "");  // the other one is enough
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.put(kVhdxHeader1, "x").put(kVhdxHeader2, "x"); }), "neither of its two headers");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.put(kVhdxHeader1 + 48, "log"); }), "its log has entries");
  EXPECT_EQ(vhdx_reason([](auto& i) { i.put(kVhdxHeader2 + 48, "log"); }), "");  // the older one
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.put(kVhdxHeader2 + 48, "log").le64(kVhdxHeader2 + 8, 7); }), "its log has entries");
  SparseImage image = vhdx_image();
  image.put(kVhdxHeader1 + 16, "!").put(kVhdxHeader2 + 16, "!");
  EXPECT_REFUSED(DiskFormat::kVhdx, image, "neither of its two headers");
}

TEST(InspectorVhdx, RegionsLieWithinTheFile) {
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.put(kVhdxRegions, "x"); }), "region table is not valid");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.le32(kVhdxRegions + 8, 2048); }), "region table has 2048 entries");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.le32(kVhdxRegions + 8, 1); }), "lacks the metadata region");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.put(kVhdxRegions + 16, "x"); }), "requires an unknown region (entry 0)");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.put(kVhdxRegions + 48, i.bytes(kVhdxRegions + 16, 16)); }), "names a region twice");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.le64(kVhdxRegions + 64, 1ULL << 40); }), "truncated: its region");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.le64(kVhdxRegions + 64, ~0ULL << 20); }), "truncated: its region");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.le64(kVhdxRegions + 64, kVhdxMetadata + 1); }), "truncated: its region");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.le32(kVhdxRegions + 72, 1024); }), "its metadata region has 1024 bytes");
  EXPECT_SAYS(vhdx_reason([](auto& i) { i.resize(kVhdxBat); }), "truncated: its region");
  SparseImage image = vhdx_image();
  image.put(kVhdxRegions + 60000, "!");
  EXPECT_REFUSED(DiskFormat::kVhdx, image, "region table is not valid");
}

TEST(InspectorVhdx, MetadataNamesNoParentAndSaneSizes) {
  const std::int64_t item0 = kVhdxMetadata + 32, value = kVhdxMetadata + 65536;
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le32(value + 4, 2); }), "it has a parent image");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.put(item0, "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"); }), "names a parent image");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.put(item0, "x"); }), "requires unknown metadata");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.put(item0, "x").le32(item0 + 24, 0); }), "lacks the virtual size, file parameters");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.put(item0 + 32, i.bytes(item0, 16)); }), "file parameters twice");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le32(item0 + 16, ~0U); }), "outside the metadata region");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le32(item0 + 16, 100); }), "outside the metadata region");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le32(value, 3 * kMiB); }), "its block size is 3145728");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le32(value, 0); }), "its block size is 0");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le64(value + 8, 0); }), "its virtual size is 0");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le64(value + 8, 513); }), "its virtual size is 513");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le64(value + 8, ~0ULL << 9); }), "its virtual size is");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le64(value + 8, 64ULL << 40); }), "its BAT has 1048576 bytes, too few");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le32(value + 16, 513); }), "logical sector size is 513");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.le16(kVhdxMetadata + 10, 2048); }), "metadata table has 2048 entries");
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.put(kVhdxMetadata, "x"); }), "metadata table is not valid");
}

TEST(InspectorIso, TheVolumeDescriptorIsChecked) {
  const auto with = [](const std::function<void(SparseImage&)>& change) {
    SparseImage image = iso_image();
    change(image);
    return image;
  };
  EXPECT_REFUSED(DiskFormat::kIso, with([](auto& i) { i.put(32769, "BEA01"); }), "no ISO 9660 volume descriptor");
  EXPECT_REFUSED(DiskFormat::kIso, with([](auto& i) { i.put(32768, "\x02"); }), "of type 2");
  EXPECT_REFUSED(DiskFormat::kIso, with([](auto& i) { i.put(32774, "\x09"); }), "version 9");
  EXPECT_REFUSED(DiskFormat::kIso, with([](auto& i) { i.le16(32896, 512); }), "logical block size is 512");
  EXPECT_REFUSED(DiskFormat::kIso, with([](auto& i) { i.le32(32848, 199); }), "in one byte order");
  EXPECT_REFUSED(DiskFormat::kIso, with([](auto& i) { i.resize(199 * 2048); }), "truncated: its volume takes 409600 bytes");
  EXPECT_REFUSED(DiskFormat::kIso, with([](auto& i) { i.resize(34000); }), "truncated: the primary volume descriptor");
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
