#pragma once
// What the inspector's tests say of an image.

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "drivers/image.h"
#include "tests/data/image_seeds.h"

namespace ca::testing {

// The reason for the refusal; empty when the image was accepted.
inline std::string refusal(DiskFormat registered, const ByteSource& image) {
  const auto facts = inspect_image(registered, image);
  if (facts) return {};
  EXPECT_EQ(facts.error().code, Code::kUnsafe) << facts.error().chain();
  return facts.error().chain();
}

}  // namespace ca::testing

#define EXPECT_REFUSED(registered, image, words)                                                \
  do {                                                                                          \
    const std::string why = refusal(registered, image);                                         \
    EXPECT_NE(why.find(words), std::string::npos) << "expected: " << words << "\ngot: " << why; \
  } while (false)

#define EXPECT_SAYS(why, words) EXPECT_NE((why).find(words), std::string::npos) << (why)
