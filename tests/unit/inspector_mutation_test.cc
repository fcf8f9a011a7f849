// What the fuzzer does at length, done briefly and the same way every time: every seed cut at every
// interesting length and with each of its bits turned, and what must hold whatever the input is.

#include <gtest/gtest.h>

#include "drivers/image.h"
#include "tests/data/image_seeds.h"
#include "tests/data/inspector_input.h"
#include "tests/data/inspector_invariants.h"

namespace ca {
namespace {

using namespace testing;

void check(const Seed& seed, const SparseImage& image, const std::string& what) {
  EXPECT_EQ(broken_invariant(seed.format, image), "") << seed.name << " " << what;
}

TEST(InspectorMutations, TruncationsOfEverySeedAreAnswered) {
  for (const auto& seed : image_seeds()) {
    for (const auto& [offset, page] : seed.image.pages()) {
      for (std::int64_t size = offset; size <= offset + SparseImage::kPage; size += size < 2048 ? 1 : 64) {
        SparseImage cut = seed.image;
        cut.resize(size);
        check(seed, cut, "cut to " + std::to_string(size));
      }
    }
  }
}

TEST(InspectorMutations, TurnedBitsInEverySeedAreAnswered) {
  for (const auto& seed : image_seeds()) {
    for (const auto& [offset, page] : seed.image.pages()) {
      for (std::int64_t at = offset; at < std::min(offset + SparseImage::kPage, seed.image.size()); ++at) {
        const int bit = static_cast<int>(at % 8);  // one per byte keeps it short; the fuzzer takes them all
        SparseImage turned = seed.image;
        turned.flip(at, bit);
        check(seed, turned, "with bit " + std::to_string(bit) + " of byte " + std::to_string(at) + " turned");
        if (seed.format == DiskFormat::kVhd) seal_vhd(turned);
        if (seed.format == DiskFormat::kVhd) check(seed, turned, "sealed anew after byte " + std::to_string(at));
      }
    }
  }
}

TEST(InspectorMutations, TheFuzzersSeedsAreTheSeeds) {
  for (const auto& seed : image_seeds()) {
    const std::string bytes = encode_input({.registered = seed.format, .seal = true, .image = seed.image});
    const auto input = decode_input({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    EXPECT_EQ(input.registered, seed.format) << seed.name;
    EXPECT_EQ(input.image.size(), seed.image.size()) << seed.name;
    EXPECT_TRUE(inspect_image(input.registered, input.image)) << seed.name;
    EXPECT_LT(bytes.size(), 4096U) << seed.name << " is longer than what libFuzzer makes by default";
  }
}

}  // namespace
}  // namespace ca
