#pragma once
// How each kind of record is named and turned to JSON; the store is generic over these.

#include <string>
#include <string_view>

#include "agent/core/records_json.h"

namespace ca {

template <typename T>
struct RecordKind;

#define CA_RECORD_KIND(Type, kind_name, id_expr, from)                     \
  template <>                                                              \
  struct RecordKind<Type> {                                                \
    static constexpr std::string_view kName = kind_name;                   \
    static std::string id(const Type& r) { return id_expr; }               \
    static Result<Type> from_json(const Json& json) { return from(json); } \
  };

CA_RECORD_KIND(Instance, "instance", r.uuid, instance_from_json)
CA_RECORD_KIND(Flavor, "flavor", r.id, flavor_from_json)
CA_RECORD_KIND(ImageMeta, "image", r.id, image_from_json)
CA_RECORD_KIND(Network, "network", r.id, network_from_json)
CA_RECORD_KIND(Subnet, "subnet", r.id, subnet_from_json)
CA_RECORD_KIND(Port, "port", r.id, port_from_json)
CA_RECORD_KIND(Keypair, "keypair", r.user_id + "/" + r.name, keypair_from_json)
CA_RECORD_KIND(Volume, "volume", r.id, volume_from_json)
CA_RECORD_KIND(VolumeSnapshot, "volume_snapshot", r.id, volume_snapshot_from_json)
CA_RECORD_KIND(Service, "service", r.host, service_from_json)

#undef CA_RECORD_KIND

}  // namespace ca
