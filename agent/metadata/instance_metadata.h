#pragma once
// What a guest is told about itself, by config drive now and by the metadata service later. Pure: values in, documents out.
// Layout: OpenStack "config-2" (openstack/<version>/{meta_data.json,network_data.json,user_data,vendor_data.json,vendor_data2.json}
// for latest and every dated version, and ec2/{latest,2009-04-04}/meta-data.json), as nova 26.2 writes it.

#include <string>
#include <vector>

#include "agent/core/values.h"
#include "drivers/config_drive.h"

namespace ca {

struct MetadataInput {
  Instance instance;
  std::vector<Port> ports;
  std::vector<Network> networks;  // of the ports, any order
  std::vector<Subnet> subnets;
  std::string dhcp_domain;  // "novalocal"
  std::string random_seed;  // 512 bytes, base64 in meta_data.json
  std::string admin_pass;   // empty: left out
};

[[nodiscard]] Result<ConfigDriveFiles> instance_metadata(const MetadataInput& input);

}  // namespace ca
