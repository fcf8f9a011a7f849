#pragma once
// Records as a host with many instances has them.

#include "agent/core/values.h"

namespace ca::bench {

struct SampleRecords {
  Flavor flavor;
  ImageMeta image;
  Network network;
  Subnet subnet;
  std::vector<Instance> instances;  // stopped, one port each
  std::vector<Port> ports;
};

[[nodiscard]] SampleRecords sample_records(int instances);

}  // namespace ca::bench
