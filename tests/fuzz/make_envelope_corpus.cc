// Writes one file per seed message into a directory.

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/data/message_seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_envelope_corpus DIRECTORY\n");
    return 2;
  }
  std::filesystem::create_directories(argv[1]);
  for (const auto& seed : ca::testing::message_seeds()) {
    std::ofstream file(std::filesystem::path(argv[1]) / seed.name, std::ios::binary);
    if (!(file << seed.body).flush()) {
      std::fprintf(stderr, "cannot write the seed %s into %s\n", seed.name.c_str(), argv[1]);
      return 1;
    }
  }
  return 0;
}
