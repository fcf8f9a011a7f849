#pragma once
// Small valid images of every format, crafted field by field from the formats' specifications (not by our own
// writers): what the inspector's tests change one thing in, and where its fuzzer starts.

#include <string>
#include <vector>

#include "agent/core/values.h"
#include "tests/data/sparse_image.h"

namespace ca::testing {

inline constexpr std::int64_t kMiB = 1 << 20;
inline constexpr std::int64_t kSeedVirtualSize = 64 * kMiB;

[[nodiscard]] SparseImage qcow2_v2_image();
[[nodiscard]] SparseImage qcow2_v3_image();
// An extension at `offset`; answers the offset behind it.
std::int64_t put_qcow2_extension(SparseImage& image, std::int64_t offset, std::uint32_t type, const std::string& data);

[[nodiscard]] std::string vmdk_descriptor_text(const std::string& create_type);
[[nodiscard]] SparseImage vmdk_image(const std::string& descriptor);
// With its grain directory at the end and a footer, as exporters stream it.
[[nodiscard]] SparseImage vmdk_stream_image();

[[nodiscard]] SparseImage vdi_image();
[[nodiscard]] SparseImage vhd_dynamic_image();
[[nodiscard]] SparseImage vhd_fixed_image();
[[nodiscard]] SparseImage vhdx_image();
[[nodiscard]] SparseImage iso_image();
[[nodiscard]] SparseImage raw_mbr_image();
[[nodiscard]] SparseImage raw_gpt_image();

// Computes the checksums anew after a change.
void seal_vhd(SparseImage& image);
void seal_vhdx(SparseImage& image);

// Where things are in vhdx_image().
inline constexpr std::int64_t kVhdxHeader1 = 64 << 10, kVhdxHeader2 = 128 << 10, kVhdxRegions = 192 << 10;
inline constexpr std::int64_t kVhdxMetadata = 2 * kMiB, kVhdxBat = 3 * kMiB;
// Where the dynamic header and the footer are in vhd_dynamic_image().
inline constexpr std::int64_t kVhdDynamicHeader = 512, kVhdDynamicFooter = 4096;

struct Seed {
  std::string name;
  DiskFormat format;
  SparseImage image;
};

[[nodiscard]] std::vector<Seed> image_seeds();

}  // namespace ca::testing
