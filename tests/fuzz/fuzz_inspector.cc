// The image inspector: any bytes, registered as any format.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/data/inspector_input.h"
#include "tests/data/inspector_invariants.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = ca::testing::decode_input({data, size});
  const std::string broken = ca::testing::broken_invariant(input.registered, input.image);
  if (!broken.empty()) {
    std::fprintf(stderr, "broken: %s\n", broken.c_str());
    std::abort();
  }
  return 0;
}
