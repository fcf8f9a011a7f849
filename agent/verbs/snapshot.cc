#include <algorithm>

#include "agent/verbs/steps.h"
#include "agent/verbs/verb_table.h"

namespace ca {
namespace {

constexpr const char* kRotated = "rotated";

Verb image_verb(Services& s, std::string method, std::string action, Order order, TaskState task) {
  Verb verb;
  verb.method = std::move(method);
  verb.action = std::move(action);
  verb.order = order;
  verb.steps = {copy_disk_step(s, TaskState::kImagePendingUpload), upload_image_step(s, TaskState::kImageUploading)};
  verb.accept = [order, task](const Message& message, Tx& tx) -> Result<Instance> {
    CA_TRY(Instance record, accept_snapshot(order, message, tx));
    record.task_state = task;
    return record;
  };
  verb.on_success = [](Tx&, Instance& record) -> Result<void> {
    record.task_state = TaskState::kNone;
    return {};
  };
  verb.on_failure = [&s](Tx& tx, Instance& record, const Fault& fault) { return settle_failed(s, tx, record, fault); };
  return verb;
}

bool is_backup(const ImageMeta& image, const Uuid& instance, const std::string& type) {
  const auto has = [&](const char* name, const std::string& value) {
    const auto found = image.properties.find(name);
    return found != image.properties.end() && found->second == value;
  };
  return image.status == ImageStatus::kActive && has("image_type", "backup") && has("instance_uuid", instance) && has("backup_type", type);
}

// Ids of the backups beyond the newest `keep`.
std::vector<Uuid> beyond(Services& s, const Uuid& instance, const std::string& type, std::int64_t keep) {
  auto backups = s.store.all<ImageMeta>();
  std::erase_if(backups, [&](const auto& image) { return !is_backup(*image, instance, type); });
  std::ranges::sort(backups, std::greater{}, [](const auto& image) { return std::pair(image->created_us, image->id); });
  std::vector<Uuid> ids;
  for (std::size_t i = static_cast<std::size_t>(keep); i < backups.size(); ++i) {
    if (!backups[i]->is_protected) ids.push_back(backups[i]->id);
  }
  return ids;
}

// The records of the oldest go first: data that outlives its record is removed at the next start.
Step rotate_step(Services& s) {
  Step step{.name = "rotate", .limit = std::chrono::seconds(30), .run = {}, .undo = {}, .task = TaskState::kNone};
  step.run = [&s](StepContext& ctx) -> Result<void> {
    const Json& args = ctx.op().args;
    const auto ids = beyond(s, ctx.instance().uuid, args.at("backup_type"), args.at("rotation").get<std::int64_t>());
    ctx.scratch()[kRotated] = ids;
    ctx.on_commit([ids](Tx& tx, Instance&) -> Result<void> {
      for (const Uuid& id : ids) {
        if (auto erased = tx.erase<ImageMeta>(id); !erased && erased.error().code != Code::kNotFound) return erased;
      }
      return {};
    });
    return {};
  };
  // Older ones may be gone for it, so the new one stays.
  step.undo = [](StepContext& ctx) -> Result<void> {
    keep_image(ctx);
    return {};
  };
  return step;
}

Step remove_rotated_step(Services& s) {
  return {.name = "remove_rotated",
          .limit = std::chrono::seconds(600),
          .run = [&s](StepContext& ctx) -> Result<void> {
            for (const Json& id : ctx.scratch().value(kRotated, Json::array())) CA_TRY_VOID(s.image_store.remove(id.get<std::string>()));
            return {};
          },
          .undo = {},
          .task = TaskState::kNone};
}

}  // namespace

Verb snapshot_instance(Services& s) {
  return image_verb(s, "snapshot_instance", "createImage", Order::kSnapshot, TaskState::kImageSnapshot);
}

Verb backup_instance(Services& s) {
  Verb verb = image_verb(s, "backup_instance", "createBackup", Order::kBackup, TaskState::kImageBackup);
  verb.steps.push_back(rotate_step(s));
  verb.steps.push_back(remove_rotated_step(s));
  return verb;
}

}  // namespace ca
