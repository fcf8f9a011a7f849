#include "agent/core/json_reader.h"

namespace ca {
namespace {

Result<Claim> claim_from(const Json& json) {
  Claim claim;
  return Reader(json, "claim").get("vcpus", claim.vcpus).get("memory_mib", claim.memory_mib).get("disk_gib", claim.disk_gib).done(claim);
}

// What only an agent that works on the instance writes; a message that orders one carries none of it.
void add_later_state(const Instance& i, Json& json) {
  if (!i.locked_by.empty()) json["locked_by"] = i.locked_by;
  if (!i.locked_reason.empty()) json["locked_reason"] = i.locked_reason;
  if (!i.local_disks.empty()) json["local_disks"] = list_json(i.local_disks, [](const LocalDisk& d) { return to_json(d); });
  if (i.rescue_image) json["rescue_image"] = to_json(*i.rescue_image);
  if (i.old_flavor) json["old_flavor"] = to_json(*i.old_flavor);
  if (i.old_vm_state != VmState::kActive) json["old_vm_state"] = to_string(i.old_vm_state);
  if (!i.shelved_image_id.empty()) json["shelved_image_id"] = i.shelved_image_id;
  if (!i.system_metadata.empty()) json["system_metadata"] = i.system_metadata;
  if (i.soft_deleted_us != 0) json["soft_deleted_us"] = i.soft_deleted_us;
  if (i.shelved_us != 0) json["shelved_us"] = i.shelved_us;
}

}  // namespace

Json to_json(const Instance& i) {
  Json json{{"uuid", i.uuid},
            {"number", i.number},
            {"name", i.name},
            {"hostname", i.hostname},
            {"project_id", i.project_id},
            {"user_id", i.user_id},
            {"host", i.host},
            {"availability_zone", i.availability_zone},
            {"flavor", to_json(i.flavor)},
            {"image", to_json(i.image)},
            {"key_name", i.key_name},
            {"key_data", i.key_data},
            {"user_data", i.user_data},
            {"metadata", i.metadata},
            {"tags", i.tags},
            {"config_drive", i.config_drive},
            {"locked", i.locked},
            {"reservation_id", i.reservation_id},
            {"launch_index", i.launch_index},
            {"vm_state", to_string(i.vm_state)},
            {"task_state", to_string(i.task_state)},
            {"power_state", static_cast<int>(i.power_state)},
            {"port_ids", i.port_ids},
            {"own_port_ids", i.own_port_ids},
            {"generation", i.generation},
            {"created_us", i.created_us},
            {"updated_us", i.updated_us},
            {"launched_us", i.launched_us},
            {"terminated_us", i.terminated_us}};
  if (!i.description.empty()) json["description"] = i.description;
  if (!i.block_devices.empty()) json["block_devices"] = list_json(i.block_devices, [](const BlockDevice& d) { return to_json(d); });
  if (!i.root_device_name.empty()) json["root_device_name"] = i.root_device_name;
  add_later_state(i, json);
  if (i.claim) {
    json["claim"] = {{"vcpus", i.claim->vcpus}, {"memory_mib", i.claim->memory_mib}, {"disk_gib", i.claim->disk_gib}};
  }
  if (i.fault) json["fault"] = to_json(*i.fault);
  return json;
}

Result<Instance> instance_from_json(const Json& json) {
  Instance i;
  int power = 0;
  std::string task;
  Reader reader(json, "instance");
  reader.get("uuid", i.uuid)
      .get("number", i.number)
      .get("name", i.name)
      .get("hostname", i.hostname)
      .get("project_id", i.project_id)
      .get("user_id", i.user_id)
      .get("host", i.host)
      .get("availability_zone", i.availability_zone)
      .object("flavor", i.flavor, flavor_from_json)
      .object("image", i.image, image_from_json)
      .get("key_name", i.key_name)
      .get("key_data", i.key_data)
      .get("user_data", i.user_data)
      .get("metadata", i.metadata)
      .get("tags", i.tags)
      .get("config_drive", i.config_drive)
      .get("locked", i.locked)
      .get("reservation_id", i.reservation_id)
      .get("launch_index", i.launch_index)
      .parsed("vm_state", i.vm_state, vm_state_from)
      .get("task_state", task)
      .get("power_state", power)
      .get("port_ids", i.port_ids)
      .get("own_port_ids", i.own_port_ids)
      .object("claim", i.claim, claim_from)
      .object("fault", i.fault, fault_from_json)
      .get("generation", i.generation)
      .get("created_us", i.created_us)
      .get("updated_us", i.updated_us)
      .get("launched_us", i.launched_us)
      .get("terminated_us", i.terminated_us)
      .get("description", i.description)
      .list("block_devices", i.block_devices, block_device_from_json)
      .get("root_device_name", i.root_device_name)
      .get("locked_by", i.locked_by)
      .get("locked_reason", i.locked_reason)
      .list("local_disks", i.local_disks, local_disk_from_json)
      .object("rescue_image", i.rescue_image, image_from_json)
      .object("old_flavor", i.old_flavor, flavor_from_json)
      .parsed("old_vm_state", i.old_vm_state, vm_state_from)
      .get("shelved_image_id", i.shelved_image_id)
      .get("system_metadata", i.system_metadata)
      .get("soft_deleted_us", i.soft_deleted_us)
      .get("shelved_us", i.shelved_us);
  auto parsed_task = task_state_from(task);
  if (!parsed_task) return tl::unexpected<Error>(std::move(parsed_task).error());
  i.task_state = *parsed_task;
  i.power_state = static_cast<PowerState>(power);
  if (!is_uuid(i.uuid)) return fail(Code::kInvalid, "instance.uuid is not a uuid");
  return reader.done(std::move(i));
}

}  // namespace ca
