// Orders that make an image of an instance. The image's record is made with the order, so that it can be looked at (and deleted) from
// then on.

#include <fmt/format.h>

#include "agent/api/compute/server_orders.h"
#include "agent/core/ids.h"
#include "agent/verbs/steps.h"

namespace ca {
namespace {

Result<Json> image_args(ApiServices&, const Instance& instance, const Json&) {
  CA_TRY_VOID(check_local_root(instance, "An image of the root disk"));
  return Json{{"image_id", new_uuid()}};
}

std::int64_t rotation_of(const Json& body) {
  const Json& rotation = body.at("rotation");
  return rotation.is_string() ? std::stoll(rotation.get<std::string>()) : rotation.get<std::int64_t>();
}

Result<Json> backup_args(ApiServices&, const Instance& instance, const Json& body) {
  CA_TRY_VOID(check_local_root(instance, "Backup"));
  return Json{{"image_id", new_uuid()}, {"backup_type", body.at("backup_type")}, {"rotation", rotation_of(body)}};
}

Result<void> put_image(Tx& tx, ImageMeta image, const Json& body) {
  const Json metadata = body.is_object() ? body.value("metadata", Json::object()) : Json::object();
  for (const auto& [key, value] : metadata.items()) image.properties[key] = value.get<std::string>();
  image.created_us = image.updated_us = tx.now_us();
  return tx.put(image);
}

Result<void> record_snapshot(ApiServices&, Tx& tx, Instance& record, const Json& body, const Json& args) {
  return put_image(tx, new_snapshot(record, args.at("image_id"), body.at("name"), "snapshot"), body);
}

Result<void> record_backup(ApiServices&, Tx& tx, Instance& record, const Json& body, const Json& args) {
  ImageMeta image = new_snapshot(record, args.at("image_id"), body.at("name"), "backup");
  image.properties["backup_type"] = args.at("backup_type").get<std::string>();
  return put_image(tx, std::move(image), body);
}

Result<void> record_shelved(ApiServices&, Tx& tx, Instance& record, const Json&, const Json& args) {
  return put_image(tx, new_snapshot(record, args.at("image_id"), record.name + "-shelved", "snapshot"), Json::object());
}

// Microversion 2.45 answers with the id, older ones with the header: who asks gets both.
ApiResponse image_answer(const Json& args) {
  ApiResponse response;
  const std::string id = args.at("image_id");
  response.headers["Location"] = "/image/v2/images/" + id;
  response.body = Json{{"image_id", id}};
  return response;
}

ApiResponse backup_answer(const Json& args) { return args.at("rotation") == 0 ? ApiResponse{} : image_answer(args); }

}  // namespace

std::vector<ServerOrder> image_orders() {
  return {
      {.action = "createImage",
       .method = "snapshot_instance",
       .kind = always(Order::kSnapshot, TaskState::kImageSnapshotPending),
       .args = image_args,
       .answer = image_answer,
       .record = record_snapshot},
      {.action = "createBackup",
       .method = "backup_instance",
       .kind = always(Order::kBackup, TaskState::kImageBackup),
       .args = backup_args,
       .answer = backup_answer,
       .record = record_backup},
      {.action = "shelve",
       .method = "shelve_instance",
       .kind = always(Order::kShelve, TaskState::kShelving),
       .args = image_args,
       .record = record_shelved},
      {.action = "shelveOffload",
       .method = "shelve_offload_instance",
       .kind = always(Order::kShelveOffload, TaskState::kShelvingOffloading)},
      {.action = "unshelve", .method = "unshelve_instance", .kind = always(Order::kUnshelve, TaskState::kUnshelving)},
  };
}

}  // namespace ca
