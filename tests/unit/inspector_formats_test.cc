// One thing changed in a valid image of the other formats.

#include <gtest/gtest.h>

#include "tests/unit/inspector_checks.h"

namespace ca {
namespace {

using namespace std::string_literals;
using namespace testing;

TEST(InspectorVmdk, OnlySelfContainedKindsAreTaken) {
  for (const auto* type : {"monolithicSparse", "streamOptimized", "MONOLITHICSPARSE"}) {
    EXPECT_EQ(refusal(DiskFormat::kVmdk, vmdk_image(vmdk_descriptor_text(type))), "") << type;
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
  EXPECT_EQ(refusal(DiskFormat::kVmdk, with("\nversion=1\n", "\r\nversion=1\r\nencoding=\"UTF-8\"\r\n")), "");
}

// qemu looks for the parent in the 20 sectors behind the header, whatever size the header gives the
// descriptor.
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
  return refusal(DiskFormat::kVhd, image);
}

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
  EXPECT_SAYS(vhd_reason(vhd_dynamic_image(), [](auto& i) { i.be64(16, 1ULL << 62).be64(kVhdDynamicFooter + 16, 1ULL << 62); }),
              "truncated: the dynamic disk header");
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
  EXPECT_SAYS(vhd_reason(vhd_fixed_image(), [](auto& i) { i.be64(kSeedVirtualSize + 48, kSeedVirtualSize + 512); }),
              "truncated: its virtual size is 67109376 bytes");
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
  return refusal(DiskFormat::kVhdx, image);
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
  EXPECT_SAYS(vhdx_reason([&](auto& i) { i.put(item0, "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c"); }),
              "names a parent image");
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

}  // namespace
}  // namespace ca
