#include <fmt/format.h>

#include <algorithm>

#include "agent/api/api_services.h"
#include "agent/api/image/upload.h"
#include "agent/core/clock.h"
#include "agent/core/ids.h"
#include "agent/domainxml/guest_options.h"

namespace ca {
namespace {

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Result<std::shared_ptr<const ImageMeta>> find_image(ApiServices& s, const std::string& id) {
  auto image = s.verbs.store.get<ImageMeta>(id);
  if (!image) return fail(Code::kNotFound, fmt::format("No image found with ID {}", id), "`computectl image list` shows the images");
  return image;
}

Result<ApiResponse> create_image(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "image_create"));
  ImageMeta image;
  image.id = body.value("id", new_uuid());
  image.owner = kProjectId;
  for (const auto& [key, value] : body.items()) {
    if (key == "id") continue;
    CA_TRY_VOID(set_image_member(image, key, value));
  }
  CA_TRY_VOID(check_image_properties(image.properties));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    if (tx.get<ImageMeta>(image.id)) return fail(Code::kConflict, fmt::format("Image ID {} already exists!", image.id));
    image.created_us = image.updated_us = tx.now_us();
    return tx.put(image);
  }));
  ApiResponse response;
  response.status = 201;
  response.body = image_view(image);
  response.headers["Location"] = "/image/v2/images/" + image.id;
  return response;
}

bool wanted(const ApiRequest& request, const ImageMeta& image) {
  const std::string name = request.query_or("name", "");
  if (!name.empty() && image.name != name) return false;
  const std::string status = request.query_or("status", "");
  if (!status.empty() && to_string(image.status) != status) return false;
  const std::string visibility = request.query_or("visibility", "");
  if (!visibility.empty() && visibility != "all" && image.visibility != visibility) return false;
  const std::string tag = request.query_or("tag", "");
  return tag.empty() || std::ranges::find(image.tags, tag) != image.tags.end();
}

Result<ApiResponse> list_images(ApiServices& s, const ApiRequest& request) {
  auto rows = s.verbs.store.all<ImageMeta>();
  std::erase_if(rows, [&](const auto& row) { return !wanted(request, *row); });
  std::ranges::sort(rows, [](const auto& a, const auto& b) { return a->name != b->name ? a->name < b->name : a->id < b->id; });
  std::vector<std::string> ids;
  for (const auto& row : rows) ids.push_back(row->id);
  CA_TRY(const Page page, page_of(request, ids));
  Json list = Json::array();
  for (std::size_t i = page.first; i < page.first + page.count; ++i) list.push_back(image_view(*rows[i]));
  ApiResponse response;
  response.body = Json{{"images", std::move(list)}, {"first", "/v2/images"}, {"schema", "/v2/schemas/images"}};
  if (page.more && page.count > 0)
    (*response.body)["next"] = fmt::format("/v2/images?marker={}&limit={}", ids[page.first + page.count - 1], page.count);
  return response;
}

Result<ApiResponse> patch_image(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "image_patch"));
  ImageMeta changed;
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    auto image = tx.get<ImageMeta>(request.param("id"));
    if (!image) return fail(Code::kNotFound, fmt::format("No image found with ID {}", request.param("id")));
    for (const Json& change : body) {
      std::string key = change.at("path").get<std::string>().substr(1);
      // JSON pointer escapes (RFC 6901).
      for (const auto& [from, to] : {std::pair<const char*, const char*>{"~1", "/"}, {"~0", "~"}}) {
        for (std::size_t at = key.find(from); at != std::string::npos; at = key.find(from, at + 1)) key.replace(at, 2, to);
      }
      if (change.at("op") == "remove") {
        if (image->properties.erase(key) == 0) return fail(Code::kConflict, fmt::format("Property {} does not exist.", key));
        continue;
      }
      if (!change.contains("value"))
        return fail(Code::kInvalid, fmt::format("Operation \"{}\" requires a member named \"value\".", change.at("op").get<std::string>()));
      if (key == "disk_format" && image->status != ImageStatus::kQueued) {
        return fail(Code::kForbidden, "Attribute 'disk_format' is read-only: the image has data, and its format was established from it");
      }
      CA_TRY_VOID(set_image_member(*image, key, change.at("value")));
    }
    CA_TRY_VOID(check_image_properties(image->properties));
    image->updated_us = tx.now_us();
    changed = *image;
    return tx.put(*image);
  }));
  ApiResponse response;
  response.body = image_view(changed);
  return response;
}

Result<ApiResponse> delete_image(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto image, find_image(s, request.param("id")));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(const ImageMeta current, tx.get<ImageMeta>(image->id));
    if (current.is_protected) {
      return fail(Code::kForbidden, fmt::format("Image {} is protected and cannot be deleted.", image->id),
                  "`computectl image set --unprotected` allows it");
    }
    return tx.erase<ImageMeta>(image->id);
  }));
  // The record went first: a file that outlives it is removed at the next start.
  CA_TRY_VOID(s.image_store.remove(image->id));
  ApiResponse response;
  response.status = 204;
  return response;
}

Result<ApiResponse> image_file(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const auto image, find_image(s, request.param("id")));
  if (image->status != ImageStatus::kActive) {
    return fail(Code::kConflict, fmt::format("Image {} has no data: its status is {}", image->id, to_string(image->status)));
  }
  ApiResponse response;
  response.file = s.image_store.path(image->id);
  response.headers["Content-Md5"] = image->checksum;
  return response;
}

}  // namespace

Result<void> set_image_member(ImageMeta& image, const std::string& key, const Json& value) {
  static const std::vector<std::string> kReadOnly{"id",           "status", "size",       "checksum",   "os_hash_algo", "os_hash_value",
                                                  "virtual_size", "file",   "created_at", "updated_at", "schema",       "self"};
  if (std::ranges::find(kReadOnly, key) != kReadOnly.end()) return fail(Code::kForbidden, fmt::format("Attribute '{}' is read-only.", key));
  const auto text = [&]() -> Result<std::string> {
    if (value.is_null()) return std::string();
    if (!value.is_string() || value.get_ref<const std::string&>().size() > 8192)
      return fail(Code::kInvalid, fmt::format("Invalid value for '{}': a string is expected", key));
    return value.get<std::string>();
  };
  const auto number = [&](std::int64_t& into) -> Result<void> {
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0 || value.get<std::int64_t>() > (std::int64_t{1} << 31)) {
      return fail(Code::kInvalid, fmt::format("Invalid value for '{}': a number of 0 or more is expected", key));
    }
    into = value.get<std::int64_t>();
    return {};
  };
  const auto flag = [&](bool& into) -> Result<void> {
    if (!value.is_boolean()) return fail(Code::kInvalid, fmt::format("Invalid value for '{}': true or false is expected", key));
    into = value.get<bool>();
    return {};
  };
  if (key == "min_disk") return number(image.min_disk_gib);
  if (key == "min_ram") return number(image.min_ram_mib);
  if (key == "protected") return flag(image.is_protected);
  if (key == "os_hidden") return flag(image.hidden);
  if (key == "tags") {
    if (!value.is_array() || !std::ranges::all_of(value, [](const Json& tag) { return tag.is_string(); }))
      return fail(Code::kInvalid, "Invalid value for 'tags'");
    image.tags = value.get<std::vector<std::string>>();
    return {};
  }
  CA_TRY(const std::string given, text());
  if (key == "name") {
    if (given.size() > 255) return fail(Code::kInvalid, "Invalid value for 'name': at most 255 characters");
    image.name = given;
  } else if (key == "disk_format") {
    image.disk_format = disk_format_from(given);
    if (image.disk_format == DiskFormat::kUnknown) {
      return fail(Code::kInvalid,
                  fmt::format("Invalid value '{}' for 'disk_format': one of raw, qcow2, vmdk, vdi, vhd, vhdx, iso is expected", given));
    }
  } else if (key == "container_format") {
    if (given != "bare")
      return fail(Code::kInvalid, fmt::format("Invalid value '{}' for 'container_format': only bare is supported", given));
    image.container_format = given;
  } else if (key == "visibility") {
    static const std::vector<std::string> kWords{"public", "private", "shared", "community"};
    if (std::ranges::find(kWords, given) == kWords.end())
      return fail(Code::kInvalid, fmt::format("Invalid value '{}' for 'visibility'", given));
    image.visibility = given;
  } else if (key == "owner") {
    image.owner = given;
  } else {
    image.properties[key] = given;
  }
  return {};
}

Json image_view(const ImageMeta& i) {
  Json view = Json::object();
  for (const auto& [key, value] : i.properties) view[key] = value;
  view["id"] = i.id;
  view["name"] = or_null(i.name);
  view["status"] = to_string(i.status);
  view["disk_format"] = i.disk_format == DiskFormat::kUnknown ? Json(nullptr) : Json(to_string(i.disk_format));
  view["container_format"] = or_null(i.container_format);
  const bool has_data = i.status == ImageStatus::kActive;
  view["size"] = has_data ? Json(i.size_bytes) : Json(nullptr);
  view["virtual_size"] = has_data ? Json(i.virtual_size_bytes) : Json(nullptr);
  view["min_disk"] = i.min_disk_gib;
  view["min_ram"] = i.min_ram_mib;
  view["visibility"] = i.visibility;
  view["protected"] = i.is_protected;
  view["os_hidden"] = i.hidden;
  view["checksum"] = or_null(i.checksum);
  view["os_hash_algo"] = or_null(i.os_hash_algo);
  view["os_hash_value"] = or_null(i.os_hash_value);
  view["owner"] = i.owner;
  view["tags"] = i.tags;
  view["created_at"] = iso_seconds(i.created_us);
  view["updated_at"] = iso_seconds(i.updated_us);
  view["file"] = "/v2/images/" + i.id + "/file";
  view["self"] = "/v2/images/" + i.id;
  view["schema"] = "/v2/schemas/image";
  return view;
}

Result<std::unique_ptr<ImageUpload>> begin_upload(ApiServices& s, const Uuid& id, std::int64_t announced_bytes) {
  CA_TRY(const auto image, find_image(s, id));
  if (image->disk_format == DiskFormat::kUnknown)
    return fail(Code::kInvalid, "Properties disk_format, container_format must be set prior to saving data.");
  if (announced_bytes > s.verbs.config.max_image_bytes) {
    return fail(Code::kTooLarge,
                fmt::format("the image has {} bytes; at most {} are taken", announced_bytes, s.verbs.config.max_image_bytes),
                "raise [api] max_image_bytes");
  }
  CA_TRY_VOID(s.verbs.store.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    CA_TRY(ImageMeta current, tx.get<ImageMeta>(id));
    if (current.status != ImageStatus::kQueued) {
      return fail(Code::kConflict, fmt::format("Image status transition from {} to saving is not allowed", to_string(current.status)));
    }
    current.status = ImageStatus::kSaving;
    return tx.put(current);
  }));
  auto upload = s.image_store.begin(id, image->disk_format, s.verbs.config.max_image_bytes);
  if (!upload) abandon_upload(s, id);
  return upload;
}

Result<void> finish_upload(ApiServices& s, const Uuid& id, ImageUpload& upload) {
  auto stored = upload.finish();
  if (!stored) {
    abandon_upload(s, id);
    return wrap(std::move(stored).error(), fmt::format("image {} is refused", id));
  }
  auto recorded = s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    CA_TRY(ImageMeta current, tx.get<ImageMeta>(id));
    current.status = ImageStatus::kActive;
    current.size_bytes = stored->size_bytes;
    current.virtual_size_bytes = stored->virtual_size_bytes;
    current.checksum = stored->md5;
    current.os_hash_algo = "sha512";
    current.os_hash_value = stored->sha512;
    current.updated_us = tx.now_us();
    return tx.put(current);
  });
  if (recorded) return recorded;
  // Deleted meanwhile, most likely: its data must not outlive it.
  CA_TRY_VOID(s.image_store.remove(id));
  return recorded;
}

void abandon_upload(ApiServices& s, const Uuid& id) {
  [[maybe_unused]] const auto written = s.verbs.store.write(Durability::kOrdered, [&](Tx& tx) -> Result<void> {
    CA_TRY(ImageMeta current, tx.get<ImageMeta>(id));
    if (current.status != ImageStatus::kSaving) return {};
    current.status = ImageStatus::kQueued;
    return tx.put(current);
  });
}

void add_image_routes(Router& router, ApiServices& s) {
  const std::string base = "/image/v2/images";
  router.add("GET", base, [&s](const ApiRequest& r) { return list_images(s, r); });
  router.add("POST", base, [&s](const ApiRequest& r) { return create_image(s, r); });
  router.add("GET", base + "/{id}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    CA_TRY(const auto image, find_image(s, r.param("id")));
    ApiResponse response;
    response.body = image_view(*image);
    return response;
  });
  router.add("PATCH", base + "/{id}", [&s](const ApiRequest& r) { return patch_image(s, r); });
  router.add("DELETE", base + "/{id}", [&s](const ApiRequest& r) { return delete_image(s, r); });
  router.add("GET", base + "/{id}/file", [&s](const ApiRequest& r) { return image_file(s, r); });
  router.add_upload("PUT", base + "/{id}/file");
}

}  // namespace ca
