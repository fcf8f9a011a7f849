#pragma once
// Files below tests/data.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace ca::test {

inline std::string read_data(const std::string& name) {
  std::ifstream file(std::string(TEST_DATA_DIR) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << "cannot read " << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace ca::test
