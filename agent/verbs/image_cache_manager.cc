#include "agent/verbs/image_cache_manager.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>

#include "drivers/files/instance_dir.h"

namespace ca {
namespace {

constexpr std::size_t kLongestRecord = 4 << 20;
constexpr std::int64_t kSlow = 64 << 20;  // bytes a second that a check in the background reads

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// A record of an instance that has no disks here keeps nothing.
void add_record(const Paths& paths, const Instance& instance, BaseUsers& users) {
  if (instance.vm_state == VmState::kDeleted || instance.vm_state == VmState::kShelvedOffloaded) return;
  if (is_uuid(instance.image.id)) users[file_name(paths.base_image(instance.image.id))].insert(instance.uuid);
  if (instance.rescue_image && is_uuid(instance.rescue_image->id)) {
    users[file_name(paths.base_image(instance.rescue_image->id))].insert(instance.uuid);
  }
  for (const LocalDisk& disk : instance.local_disks) {
    const std::string name = blank_base_name({disk.size_bytes, disk.guest_format});
    if (!name.empty()) users[name].insert(instance.uuid);
  }
}

// Of an instance of another host that shares the directory; none: there is no record, or it says nothing.
std::optional<Instance> record_copy(const std::string& path) {
  const auto text = read_tail(path, kLongestRecord);
  if (!text || text->empty()) return std::nullopt;
  const Json json = Json::parse(*text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  auto instance = instance_from_json(json);
  return instance ? std::optional<Instance>(*std::move(instance)) : std::nullopt;
}

}  // namespace

ImageCacheManager::ImageCacheManager(Services& services, std::function<void(std::int64_t)> on_bytes)
    : s_(services), on_bytes_(std::move(on_bytes)) {}

Result<BaseUsers> ImageCacheManager::users() const {
  CA_TRY(BaseUsers users, s_.images.users_on_disk(s_.paths.instances()));
  for (const auto& instance : s_.store.all<Instance>()) add_record(s_.paths, *instance, users);
  std::error_code error;
  for (std::filesystem::directory_iterator entry(s_.paths.instances(), error), end; !error && entry != end; entry.increment(error)) {
    const std::string uuid = entry->path().filename().string();
    if (!is_uuid(uuid) || s_.store.get<Instance>(uuid)) continue;
    if (const auto instance = record_copy(s_.paths.record_copy(uuid))) add_record(s_.paths, *instance, users);
  }
  if (error) return fail_errno(error.value(), "cannot list " + s_.paths.instances());
  return users;
}

std::shared_ptr<const ImageMeta> ImageCacheManager::image_of(const std::string& name) const {
  for (const auto& image : s_.store.all<ImageMeta>()) {
    if (image->status == ImageStatus::kActive && file_name(s_.paths.base_image(image->id)) == name) return image;
  }
  return nullptr;
}

Result<std::vector<UsedBase>> ImageCacheManager::list() {
  CA_TRY(const std::vector<CachedBase> bases, s_.images.list());
  CA_TRY(const BaseUsers all, users());
  std::vector<UsedBase> listed;
  for (const CachedBase& base : bases) {
    UsedBase used{base, {}};
    if (const auto found = all.find(base.name); found != all.end()) used.users = {found->second.begin(), found->second.end()};
    listed.push_back(std::move(used));
  }
  return listed;
}

Result<std::vector<std::string>> ImageCacheManager::clean(std::chrono::seconds min_age) {
  CA_TRY_VOID(s_.images.remove_unfinished());
  CA_TRY(const std::vector<UsedBase> bases, list());
  std::vector<std::string> removed;
  for (const auto& [base, used_by] : bases) {
    if (!used_by.empty()) continue;
    const std::string& name = base.name;
    CA_TRY(const bool gone, s_.images.remove_unused(name, min_age, [this, &name]() -> Result<bool> {
      CA_TRY(const BaseUsers now, users());
      return now.contains(name);
    }));
    if (!gone) continue;
    spdlog::info("image cache: base {} is removed: nothing uses it ({} bytes were allocated)", name, base.allocated_bytes);
    removed.push_back(name);
  }
  tell_bytes();
  return removed;
}

Result<BaseCheck> ImageCacheManager::verify(const std::string& name, const CheckLimits& limits) {
  CA_TRY(const std::vector<CachedBase> bases, s_.images.list());
  if (std::ranges::find(bases, name, &CachedBase::name) == bases.end()) {
    return fail(Code::kNotFound, fmt::format("There is no base {:.80} in the cache", name),
                "`computectl image cache list` shows the bases");
  }
  const auto image = image_of(name);
  CA_TRY(const BaseCheck found, s_.images.check(name, image.get(), limits));
  if (found == BaseCheck::kFetchedAgain || found == BaseCheck::kDamaged) {
    CA_TRY(const BaseUsers all, users());
    const auto hang_on_it = all.find(name);
    spdlog::error("image cache: base {} is damaged{}; instances that hang on it: {}", name,
                  found == BaseCheck::kFetchedAgain ? " and was fetched again: stop and start them to use the new one" : "",
                  hang_on_it == all.end() ? "none" : fmt::format("{}", fmt::join(hang_on_it->second, ", ")));
  }
  tell_bytes();
  return found;
}

void ImageCacheManager::check_oldest() {
  const auto bases = s_.images.list();
  if (!bases || bases->empty()) return;
  const CachedBase& oldest = *std::ranges::min_element(*bases, {}, &CachedBase::checked_us);
  const std::int64_t age_us = s_.clock.wall_us() - oldest.checked_us;
  if (age_us < s_.config.image_cache_checksum_interval * 1'000'000) return;
  const auto checked = verify(oldest.name, {.bytes_per_second = kSlow, .cancelled = [this] { return stopping_.load(); }});
  if (!checked && checked.error().code != Code::kCancelled) {
    spdlog::error("image cache: base {} can't be checked: {}; {}", oldest.name, checked.error().chain(), checked.error().action());
  }
}

void ImageCacheManager::pass() {
  if (s_.config.remove_unused_base_images) {
    if (auto cleaned = clean(std::chrono::seconds(s_.config.remove_unused_original_minimum_age_seconds)); !cleaned) {
      spdlog::error("image cache: unused bases can't be removed: {}; {}", cleaned.error().chain(), cleaned.error().action());
    }
  }
  if (s_.config.image_cache_checksum_interval > 0) check_oldest();
  tell_bytes();
}

void ImageCacheManager::note_new(const std::string& name) {
  const auto image = image_of(name);
  const auto recorded = s_.images.check(name, image.get(), {.bytes_per_second = 0, .cancelled = [this] { return stopping_.load(); }});
  // Without one it is recorded by a later pass.
  if (!recorded) spdlog::warn("image cache: the checksum of base {} is not recorded yet: {}", name, recorded.error().chain());
  tell_bytes();
}

void ImageCacheManager::tell_bytes() {
  if (const auto bytes = s_.images.allocated_bytes()) on_bytes_(*bytes);
}

}  // namespace ca
