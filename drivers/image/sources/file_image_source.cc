#include "drivers/image/sources/file_image_source.h"

#include "agent/core/ids.h"
#include "drivers/files/durable_file.h"

namespace ca {
namespace {

class FileImageSource final : public ImageSource {
 public:
  explicit FileImageSource(std::string dir) : dir_(std::move(dir)) {}

  Result<std::string> local_path(const ImageMeta& image) override {
    if (!is_uuid(image.id)) return fail(Code::kInvalid, "an image id is not a UUID");
    std::string path = dir_ + "/" + image.id;
    CA_TRY(const bool exists, regular_file_exists(path));
    if (!exists) {
      return fail(Code::kNotFound, "the image store has no file " + path, "delete image " + image.id + " and create it again");
    }
    return path;
  }

 private:
  std::string dir_;
};

}  // namespace

std::unique_ptr<ImageSource> make_file_image_source(std::string image_store_dir) {
  return std::make_unique<FileImageSource>(std::move(image_store_dir));
}

}  // namespace ca
