#pragma once
// What the records say of volumes and who uses them. Each function is a part of a transaction.
//
// A volume that is ordered for an instance is reserved first: from then on it has an attachment (Volume::attachments) with the device
// name that it will get, and attached_us is 0 until the guest has it. Instance::block_devices has it from then on, too.

#include <optional>
#include <string>

#include "agent/config/config.h"
#include "agent/store/tx.h"

namespace ca {

inline constexpr std::int64_t kBytesOfGib = std::int64_t{1} << 30;

[[nodiscard]] bool boots_from_volume(const Instance& instance);
[[nodiscard]] bool is_volume(const BlockDevice& device);
[[nodiscard]] const BlockDevice* volume_device(const Instance& instance, const Uuid& volume);
[[nodiscard]] const VolumeAttachment* attachment_of(const Volume& volume, const Uuid& instance);

// kNotFound in the words of the Volume API.
[[nodiscard]] Result<Volume> get_volume(Tx& tx, const Uuid& id);
Result<void> put_volume(Tx& tx, Volume& volume);

// The device name for `device`: the one it asks for when that is free and fits the bus, else the next free one.
[[nodiscard]] Result<std::string> choose_device_name(Tx& tx, const Config& config, const Instance& instance, const BlockDevice& device);
// Reserves the volume for the attachment `device.id`, with a device name. A second time it changes nothing. kInvalid when its status
// does not allow it, or somebody has it and it is not marked for several.
Result<void> reserve_volume(Tx& tx, const Config& config, const Instance& instance, const BlockDevice& device);
// The guest has it: in-use, and in the record's block devices.
Result<void> record_attached(Tx& tx, Instance& record, const BlockDevice& device);
// Nobody of `instance` has it any more. With `and_delete`, and nobody else has it, its status becomes deleting. Unknown volumes and
// attachments are success. True: it is to be deleted.
Result<bool> release_volume(Tx& tx, const Uuid& volume, const Uuid& instance, bool and_delete);
// What is left of an attachment that was not to be taken back: in-use again.
Result<void> keep_attached(Tx& tx, const Uuid& volume, const std::string& fault);

}  // namespace ca
