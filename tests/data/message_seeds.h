#pragma once
// Envelopes to start from: one good message of each method and one of each way to be malformed.

#include <string>
#include <vector>

namespace ca::testing {

struct MessageSeed {
  std::string name;
  std::string body;
  bool good = true;  // decode_envelope takes it
};

[[nodiscard]] std::vector<MessageSeed> message_seeds();

}  // namespace ca::testing
