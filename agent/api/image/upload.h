#pragma once
// Image records and the upload of their data, apart from HTTP.

#include <memory>

#include "agent/api/api_services.h"
#include "drivers/image_store.h"

namespace ca {

[[nodiscard]] Json image_view(const ImageMeta& image);
// Sets one member as the Image API names it; anything it does not name is a property. kForbidden for what only data can set.
[[nodiscard]] Result<void> set_image_member(ImageMeta& image, const std::string& key, const Json& value);

// queued -> saving. The upload's bytes go into what is returned (blocking; on a worker).
[[nodiscard]] Result<std::unique_ptr<ImageUpload>> begin_upload(ApiServices& s, const Uuid& id, std::int64_t announced_bytes);
// saving -> active, or back to queued with the reason.
[[nodiscard]] Result<void> finish_upload(ApiServices& s, const Uuid& id, ImageUpload& upload);
void abandon_upload(ApiServices& s, const Uuid& id);

}  // namespace ca
