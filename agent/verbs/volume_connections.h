#pragma once
// Volumes of another service (Volume::backend "connected"): what a Cinder hands over in connection_info, checked by
// schemas/rest/volume_connected.json. The record keeps it without its keys; those lie in a file that only the agent reads
// (Paths::volume_secret) and in libvirt's secret with the volume's id.

#include <string>

#include "agent/verbs/services.h"

namespace ca {

// Takes the keys out of `connection_info` (its member "data").
[[nodiscard]] std::string take_keys(Json& connection_info);

// Writes the key of a volume to its file, 0600 in a directory 0700. An empty one writes nothing.
Result<void> keep_key(const Services& s, const Volume& volume, const std::string& key);
// Removes keys whose volume is not in the records.
Result<void> remove_stray_keys(const Services& s);

// kInvalid: it names a path outside the configured ones, or makes no sense.
[[nodiscard]] Result<DiskSource> connected_source(const Services& s, const Volume& volume);

Result<void> open_connection(Services& s, const Volume& volume);
Result<void> close_connection(Services& s, const Volume& volume);

}  // namespace ca
