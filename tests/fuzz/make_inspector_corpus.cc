// Writes one file per seed image into a directory.

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/data/image_seeds.h"
#include "tests/data/inspector_input.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_inspector_corpus DIRECTORY\n");
    return 2;
  }
  std::filesystem::create_directories(argv[1]);
  for (const auto& seed : ca::testing::image_seeds()) {
    const auto bytes = ca::testing::encode_input({.registered = seed.format, .seal = true, .image = seed.image});
    std::ofstream file(std::filesystem::path(argv[1]) / seed.name, std::ios::binary);
    if (!(file << bytes).flush()) {
      std::fprintf(stderr, "cannot write the seed %s into %s\n", seed.name.c_str(), argv[1]);
      return 1;
    }
  }
  return 0;
}
