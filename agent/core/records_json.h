#pragma once
// Records to JSON and back: the form they have in the store, in instance.json beside the disks and in messages.
// from_json checks types and bounds and answers kInvalid with the member's name; it never throws.

#include <nlohmann/json_fwd.hpp>

#include "agent/core/values.h"
#include "agent/core/volumes.h"

namespace ca {

using Json = nlohmann::json;

[[nodiscard]] Json to_json(const Flavor& flavor);
[[nodiscard]] Json to_json(const ImageMeta& image);
[[nodiscard]] Json to_json(const Network& network);
[[nodiscard]] Json to_json(const Subnet& subnet);
[[nodiscard]] Json to_json(const Port& port);
[[nodiscard]] Json to_json(const Keypair& keypair);
[[nodiscard]] Json to_json(const Service& service);
[[nodiscard]] Json to_json(const Fault& fault);
[[nodiscard]] Json to_json(const Instance& instance);
[[nodiscard]] Json to_json(const BlockDevice& device);
[[nodiscard]] Json to_json(const LocalDisk& disk);
[[nodiscard]] Json to_json(const Volume& volume);
[[nodiscard]] Json to_json(const VolumeSnapshot& snapshot);

[[nodiscard]] Result<Flavor> flavor_from_json(const Json& json);
[[nodiscard]] Result<ImageMeta> image_from_json(const Json& json);
[[nodiscard]] Result<Network> network_from_json(const Json& json);
[[nodiscard]] Result<Subnet> subnet_from_json(const Json& json);
[[nodiscard]] Result<Port> port_from_json(const Json& json);
[[nodiscard]] Result<Keypair> keypair_from_json(const Json& json);
[[nodiscard]] Result<Service> service_from_json(const Json& json);
[[nodiscard]] Result<Fault> fault_from_json(const Json& json);
[[nodiscard]] Result<Instance> instance_from_json(const Json& json);
[[nodiscard]] Result<BlockDevice> block_device_from_json(const Json& json);
[[nodiscard]] Result<LocalDisk> local_disk_from_json(const Json& json);
[[nodiscard]] Result<Volume> volume_from_json(const Json& json);
[[nodiscard]] Result<VolumeSnapshot> volume_snapshot_from_json(const Json& json);

}  // namespace ca
