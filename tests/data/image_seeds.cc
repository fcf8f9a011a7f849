#include "tests/data/image_seeds.h"

namespace ca::testing {
namespace {

using namespace std::string_literals;

// Bit by bit, so that it does not share a table with what it tests.
std::uint32_t slow_crc32c(const std::string& bytes) {
  std::uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
  }
  return ~crc;
}

void seal_vhd_block(SparseImage& image, std::int64_t offset, std::int64_t size, std::int64_t checksum_at) {
  image.be32(offset + checksum_at, 0);
  std::uint32_t sum = 0;
  for (const char c : image.bytes(offset, size)) sum += static_cast<unsigned char>(c);
  image.be32(offset + checksum_at, ~sum);
}

void seal_vhdx_block(SparseImage& image, std::int64_t offset, std::int64_t size) {
  image.le32(offset + 4, 0);
  image.le32(offset + 4, slow_crc32c(image.bytes(offset, size)));
}

void put_vhd_footer(SparseImage& image, std::int64_t at, std::uint32_t type, std::uint64_t data_offset) {
  // No CHS geometry gives 64 MiB exactly, so the creator is one that qemu takes the size from.
  image.put(at, "conectix").be32(at + 8, 2).be32(at + 12, 0x00010000).be64(at + 16, data_offset).put(at + 28, "win ");
  image.put(at + 36, "Wi2k").be64(at + 40, kSeedVirtualSize).be64(at + 48, kSeedVirtualSize);
  image.be16(at + 56, 963).put(at + 58, "\x08\x11"s).be32(at + 60, type).put(at + 68, "0123456789abcdef");
}

void put_guid(SparseImage& image, std::int64_t at, const char* text) {
  // "2DC27766-F623-4200-9D64-115E9BFD4A08": the first three groups are little endian.
  constexpr std::array kOrder{6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34};
  const std::string guid(text);
  std::string bytes;
  for (const int digit : kOrder) bytes += static_cast<char>(std::stoi(guid.substr(static_cast<std::size_t>(digit), 2), nullptr, 16));
  image.put(at, bytes);
}

}  // namespace

SparseImage qcow2_v2_image() {
  constexpr std::int64_t kCluster = 65536;
  SparseImage image(5 * kCluster);
  image.put(0, "QFI\xfb").be32(4, 2).be32(20, 16).be64(24, kSeedVirtualSize);
  image.be32(36, 1).be64(40, 3 * kCluster);  // L1 table
  image.be64(48, kCluster).be32(56, 1);      // refcount table
  image.be64(kCluster, 2 * kCluster);
  for (int cluster = 0; cluster < 5; ++cluster) image.be16(2 * kCluster + 2 * cluster, 1);
  image.be64(3 * kCluster, (std::uint64_t{1} << 63) | 4 * kCluster);
  return image;
}

SparseImage qcow2_v3_image() {
  SparseImage image = qcow2_v2_image();
  image.be32(4, 3).be32(96, 4).be32(100, 112);
  put_qcow2_extension(image, 112, 0x6803f857, "\0\0dirty bit"s);
  return image;
}

std::int64_t put_qcow2_extension(SparseImage& image, std::int64_t offset, std::uint32_t type, const std::string& data) {
  image.be32(offset, type).be32(offset + 4, static_cast<std::uint32_t>(data.size())).put(offset + 8, data);
  return offset + 8 + static_cast<std::int64_t>((data.size() + 7) / 8 * 8);
}

std::string vmdk_descriptor_text(const std::string& create_type) {
  return "# Disk DescriptorFile\nversion=1\nCID=7d7dd0f3\nparentCID=ffffffff\ncreateType=\"" + create_type +
         "\"\n\n# Extent description\nRW 131072 SPARSE \"disk.vmdk\"\n\n# The Disk Data Base\n#DDB\n\n"
         "ddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"130\"\nddb.adapterType = \"ide\"\n";
}

SparseImage vmdk_image(const std::string& descriptor) {
  SparseImage image(128 * 512);
  image.put(0, "KDMV").le32(4, 1).le32(8, 3).le64(12, kSeedVirtualSize / 512).le64(20, 128);
  image.le64(28, 1).le64(36, 20).le32(44, 512).le64(48, 21).le64(56, 26).le64(64, 128).put(73, "\n \r\n");
  image.put(512, descriptor);
  return image;
}

SparseImage vmdk_stream_image() {
  SparseImage image = vmdk_image(vmdk_descriptor_text("streamOptimized"));
  const std::int64_t footer = 130 * 512;
  image.resize(footer + 1024);
  image.le32(4, 3).le32(8, 0x30001).le64(48, 0).put(77, "\x01");
  image.put(footer, image.bytes(0, 512));
  image.le64(56, ~std::uint64_t{0});  // the directory is told by the footer
  image.le32(footer - 512, 1).le32(footer - 512 + 12, 3);
  return image;
}

SparseImage vdi_image() {
  SparseImage image(2 * kMiB);
  image.put(0, "<<< QEMU VM Virtual Disk Image >>>\n").put(0x40, "\x7f\x10\xda\xbe").le32(0x44, 0x00010001).le32(0x48, 0x180);
  image.le32(0x4c, 1).le32(0x154, 512).le32(0x158, 1024).le32(0x168, 512).le64(0x170, kSeedVirtualSize);
  image.le32(0x178, kMiB).le32(0x180, 64).le32(0x184, 1).put(0x188, "0123456789abcdef").put(0x198, "fedcba9876543210");
  for (int block = 0; block < 64; ++block) image.le32(512 + 4 * block, block == 0 ? 0 : ~0U);
  return image;
}

SparseImage vhd_dynamic_image() {
  SparseImage image(kVhdDynamicFooter + 512);
  put_vhd_footer(image, 0, 3, kVhdDynamicHeader);
  put_vhd_footer(image, kVhdDynamicFooter, 3, kVhdDynamicHeader);
  image.put(kVhdDynamicHeader, "cxsparse").be64(kVhdDynamicHeader + 8, ~std::uint64_t{0}).be64(kVhdDynamicHeader + 16, 1536);
  image.be32(kVhdDynamicHeader + 24, 0x00010000).be32(kVhdDynamicHeader + 28, 32).be32(kVhdDynamicHeader + 32, 2 * kMiB);
  for (int block = 0; block < 32; ++block) image.be32(1536 + 4 * block, ~0U);
  seal_vhd(image);
  return image;
}

SparseImage vhd_fixed_image() {
  SparseImage image(kSeedVirtualSize + 512);
  put_vhd_footer(image, kSeedVirtualSize, 2, ~std::uint64_t{0});
  seal_vhd(image);
  return image;
}

void seal_vhd(SparseImage& image) {
  for (const std::int64_t footer : {std::int64_t{0}, image.size() / 512 * 512 - 512}) {
    if (footer >= 0 && image.bytes(footer, 8) == "conectix") seal_vhd_block(image, footer, 512, 64);
  }
  if (image.bytes(kVhdDynamicHeader, 8) == "cxsparse") seal_vhd_block(image, kVhdDynamicHeader, 1024, 36);
}

SparseImage vhdx_image() {
  SparseImage image(8 * kMiB);
  image.put(0, "vhdxfile");
  for (const std::int64_t header : {kVhdxHeader1, kVhdxHeader2}) {
    image.put(header, "head").le64(header + 8, header == kVhdxHeader1 ? 6 : 5).put(header + 16, "0123456789abcdef");
    image.le16(header + 66, 1).le32(header + 68, kMiB).le64(header + 72, kMiB);
  }
  image.put(kVhdxRegions, "regi").le32(kVhdxRegions + 8, 2);
  put_guid(image, kVhdxRegions + 16, "2DC27766-F623-4200-9D64-115E9BFD4A08");
  image.le64(kVhdxRegions + 32, kVhdxBat).le32(kVhdxRegions + 40, kMiB).le32(kVhdxRegions + 44, 1);
  put_guid(image, kVhdxRegions + 48, "8B7CA206-4790-4B9A-B8FE-575F050F886E");
  image.le64(kVhdxRegions + 64, kVhdxMetadata).le32(kVhdxRegions + 72, kMiB).le32(kVhdxRegions + 76, 1);

  image.put(kVhdxMetadata, "metadata").le16(kVhdxMetadata + 10, 3);
  const auto item = [&](int index, const char* guid, std::uint32_t offset, std::uint32_t length) {
    const std::int64_t at = kVhdxMetadata + 32 + 32 * index;
    put_guid(image, at, guid);
    image.le32(at + 16, offset).le32(at + 20, length).le32(at + 24, 6);
  };
  item(0, "CAA16737-FA36-4D43-B3B6-33F0AA44E76B", 65536, 8);
  item(1, "2FA54224-CD1B-4876-B211-5DBED83BF4B8", 65544, 8);
  item(2, "8141BF1D-A96F-4709-BA47-F233A8FAAB5F", 65552, 4);
  image.le32(kVhdxMetadata + 65536, 8 * kMiB).le64(kVhdxMetadata + 65544, kSeedVirtualSize).le32(kVhdxMetadata + 65552, 512);
  seal_vhdx(image);
  return image;
}

void seal_vhdx(SparseImage& image) {
  seal_vhdx_block(image, kVhdxHeader1, 4096);
  seal_vhdx_block(image, kVhdxHeader2, 4096);
  seal_vhdx_block(image, kVhdxRegions, 65536);
}

SparseImage iso_image() {
  constexpr std::int64_t kDescriptor = 32768;
  SparseImage image(200 * 2048);
  image.put(kDescriptor,
            "\x01"
            "CD001\x01");
  image.put(kDescriptor + 40, "DEMO").le32(kDescriptor + 80, 200).be32(kDescriptor + 84, 200);
  image.le16(kDescriptor + 128, 2048).be16(kDescriptor + 130, 2048);
  image.put(kDescriptor + 2048,
            "\xff"
            "CD001\x01");
  return image;
}

SparseImage raw_mbr_image() {
  SparseImage image(4 * kMiB);
  image.put(0, "\xfa\x31\xc0\x8e\xd8"s).put(446, "\x80\x20\x21\0\x83"s).le32(454, 2048).le32(458, 6144).put(510, "\x55\xaa");
  return image;
}

SparseImage raw_gpt_image() {
  SparseImage image = raw_mbr_image();
  image.put(450, "\xee").put(512, "EFI PART").le32(520, 0x00010000).le32(524, 92).le64(536, 1);
  image.put(image.size() - 512, "EFI PART");
  return image;
}

std::vector<Seed> image_seeds() {
  SparseImage hybrid = iso_image();
  hybrid.put(0, "\x33\xed\x90"s).put(510, "\x55\xaa");
  return {{"qcow2_v2", DiskFormat::kQcow2, qcow2_v2_image()},
          {"qcow2_v3", DiskFormat::kQcow2, qcow2_v3_image()},
          {"vmdk_sparse", DiskFormat::kVmdk, vmdk_image(vmdk_descriptor_text("monolithicSparse"))},
          {"vmdk_stream", DiskFormat::kVmdk, vmdk_stream_image()},
          {"vdi", DiskFormat::kVdi, vdi_image()},
          {"vhd_dynamic", DiskFormat::kVhd, vhd_dynamic_image()},
          {"vhd_fixed", DiskFormat::kVhd, vhd_fixed_image()},
          {"vhdx", DiskFormat::kVhdx, vhdx_image()},
          {"iso", DiskFormat::kIso, iso_image()},
          {"iso_hybrid", DiskFormat::kIso, hybrid},
          {"raw_mbr", DiskFormat::kRaw, raw_mbr_image()},
          {"raw_gpt", DiskFormat::kRaw, raw_gpt_image()}};
}

}  // namespace ca::testing
