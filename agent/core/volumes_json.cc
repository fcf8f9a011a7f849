#include "agent/core/json_reader.h"

namespace ca {
namespace {

Result<DiskFormat> parse_format(const std::string& text) { return disk_format_from(text); }

Json attachment_json(const VolumeAttachment& a) {
  return {
      {"id", a.id}, {"instance_uuid", a.instance_uuid}, {"host", a.host}, {"device_name", a.device_name}, {"attached_us", a.attached_us}};
}

Result<VolumeAttachment> attachment_from(const Json& json) {
  VolumeAttachment a;
  return Reader(json, "attachment")
      .get("id", a.id)
      .get("instance_uuid", a.instance_uuid)
      .get("host", a.host)
      .get("device_name", a.device_name)
      .get("attached_us", a.attached_us)
      .done(a);
}

}  // namespace

Json to_json(const BlockDevice& d) {
  return {{"id", d.id},
          {"source", to_string(d.source)},
          {"destination", to_string(d.destination)},
          {"boot_index", d.boot_index},
          {"device_name", d.device_name},
          {"size_gib", d.size_gib},
          {"guest_format", d.guest_format},
          {"delete_on_termination", d.delete_on_termination},
          {"tag", d.tag},
          {"disk_bus", d.disk_bus},
          {"device_type", d.device_type},
          {"volume_id", d.volume_id},
          {"image_id", d.image_id},
          {"snapshot_id", d.snapshot_id}};
}

Result<BlockDevice> block_device_from_json(const Json& json) {
  BlockDevice d;
  Reader reader(json, "block_device");
  reader.get("id", d.id)
      .parsed("source", d.source, parser({BlockSource::kBlank, BlockSource::kImage, BlockSource::kVolume, BlockSource::kSnapshot}))
      .parsed("destination", d.destination, parser({BlockDestination::kLocal, BlockDestination::kVolume}))
      .get("boot_index", d.boot_index)
      .get("device_name", d.device_name)
      .get("size_gib", d.size_gib)
      .get("guest_format", d.guest_format)
      .get("delete_on_termination", d.delete_on_termination)
      .get("tag", d.tag)
      .get("disk_bus", d.disk_bus)
      .get("device_type", d.device_type)
      .get("volume_id", d.volume_id)
      .get("image_id", d.image_id)
      .get("snapshot_id", d.snapshot_id);
  return reader.done(std::move(d));
}

Json to_json(const LocalDisk& d) {
  return {{"name", d.name},
          {"storage", d.storage},
          {"format", to_string(d.format)},
          {"size_bytes", d.size_bytes},
          {"device_name", d.device_name},
          {"guest_format", d.guest_format}};
}

Result<LocalDisk> local_disk_from_json(const Json& json) {
  LocalDisk d;
  Reader reader(json, "local_disk");
  reader.get("name", d.name)
      .get("storage", d.storage)
      .parsed("format", d.format, parse_format)
      .get("size_bytes", d.size_bytes)
      .get("device_name", d.device_name)
      .get("guest_format", d.guest_format);
  return reader.done(std::move(d));
}

Json to_json(const Volume& v) {
  return {{"id", v.id},
          {"name", v.name},
          {"description", v.description},
          {"project_id", v.project_id},
          {"user_id", v.user_id},
          {"size_gib", v.size_gib},
          {"status", v.status},
          {"backend", v.backend},
          {"format", to_string(v.format)},
          {"availability_zone", v.availability_zone},
          {"bootable", v.bootable},
          {"multiattach", v.multiattach},
          {"read_only", v.read_only},
          {"image_id", v.image_id},
          {"snapshot_id", v.snapshot_id},
          {"source_volume_id", v.source_volume_id},
          {"metadata", v.metadata},
          {"image_metadata", v.image_metadata},
          {"attachments", list_json(v.attachments, attachment_json)},
          {"connection_info", v.connection_info},
          {"fault", v.fault},
          {"created_us", v.created_us},
          {"updated_us", v.updated_us}};
}

Result<Volume> volume_from_json(const Json& json) {
  Volume v;
  Reader reader(json, "volume");
  reader.get("id", v.id)
      .get("name", v.name)
      .get("description", v.description)
      .get("project_id", v.project_id)
      .get("user_id", v.user_id)
      .get("size_gib", v.size_gib)
      .get("status", v.status)
      .get("backend", v.backend)
      .parsed("format", v.format, parse_format)
      .get("availability_zone", v.availability_zone)
      .get("bootable", v.bootable)
      .get("multiattach", v.multiattach)
      .get("read_only", v.read_only)
      .get("image_id", v.image_id)
      .get("snapshot_id", v.snapshot_id)
      .get("source_volume_id", v.source_volume_id)
      .get("metadata", v.metadata)
      .get("image_metadata", v.image_metadata)
      .list("attachments", v.attachments, attachment_from)
      .get("connection_info", v.connection_info)
      .get("fault", v.fault)
      .get("created_us", v.created_us)
      .get("updated_us", v.updated_us);
  return reader.done(std::move(v));
}

Json to_json(const VolumeSnapshot& s) {
  return {{"id", s.id},
          {"name", s.name},
          {"description", s.description},
          {"project_id", s.project_id},
          {"volume_id", s.volume_id},
          {"size_gib", s.size_gib},
          {"status", s.status},
          {"metadata", s.metadata},
          {"fault", s.fault},
          {"created_us", s.created_us},
          {"updated_us", s.updated_us}};
}

Result<VolumeSnapshot> volume_snapshot_from_json(const Json& json) {
  VolumeSnapshot s;
  Reader reader(json, "volume_snapshot");
  reader.get("id", s.id)
      .get("name", s.name)
      .get("description", s.description)
      .get("project_id", s.project_id)
      .get("volume_id", s.volume_id)
      .get("size_gib", s.size_gib)
      .get("status", s.status)
      .get("metadata", s.metadata)
      .get("fault", s.fault)
      .get("created_us", s.created_us)
      .get("updated_us", s.updated_us);
  return reader.done(std::move(s));
}

}  // namespace ca
