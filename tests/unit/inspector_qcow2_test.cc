// One thing changed in a valid qcow2 image.

#include <gtest/gtest.h>

#include "tests/unit/inspector_checks.h"

namespace ca {
namespace {

using namespace std::string_literals;
using namespace testing;

constexpr std::int64_t kCluster = 65536;

std::string qcow2_reason(const std::function<void(SparseImage&)>& change, bool v3 = true) {
  SparseImage image = v3 ? qcow2_v3_image() : qcow2_v2_image();
  change(image);
  return refusal(DiskFormat::kQcow2, image);
}

#define EXPECT_QCOW2_REFUSED(change, words)                                                                                 \
  EXPECT_PRED2([](const std::string& why, const std::string& expected) { return why.find(expected) != std::string::npos; }, \
               qcow2_reason([](SparseImage& i) { change; }), std::string(words))

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
    EXPECT_NE(qcow2_reason([&](SparseImage& i) { i.be64(72, std::uint64_t{1} << bit); }).find("unknown incompatible features"),
              std::string::npos)
        << bit;
  }
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(72, 1); }), "");                   // dirty: refcounts only
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(72, 8).put(104, "\x01"); }), "");  // zstd
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(72, 16); }), "");                  // extended L2
  EXPECT_EQ(qcow2_reason([](SparseImage& i) { i.be64(80, ~0ULL).be64(88, ~0ULL & ~2ULL); }),
            "");  // compatible ones
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
    EXPECT_NE(qcow2_reason([&](SparseImage& i) { i.be32(100, length); }).find("its header length is " + std::to_string(length)),
              std::string::npos);
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
    EXPECT_NE(refusal(DiskFormat::kQcow2, cut), "") << size;
  }
}

}  // namespace
}  // namespace ca
