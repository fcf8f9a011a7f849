// The local image store. Bytes are hashed while they are written, so an upload is read only once.

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/files/durable_file.h"
#include "drivers/files/sparse_copy.h"
#include "drivers/files/unique_fd.h"
#include "drivers/image_store.h"

namespace ca {
namespace {

struct FreeDigest {
  void operator()(EVP_MD_CTX* ctx) const { EVP_MD_CTX_free(ctx); }
};

class Digest {
 public:
  explicit Digest(const EVP_MD* kind) : ctx_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(ctx_.get(), kind, nullptr); }
  void add(std::span<const std::byte> bytes) { EVP_DigestUpdate(ctx_.get(), bytes.data(), bytes.size()); }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(ctx_.get(), digest, &size);
    std::string text;
    for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, FreeDigest> ctx_;
};

class LocalUpload final : public ImageUpload {
 public:
  LocalUpload(DurableFile file, DiskFormat format, std::int64_t max_bytes)
      : file_(std::move(file)), format_(format), max_bytes_(max_bytes), md5_(EVP_md5()), sha512_(EVP_sha512()) {}

  Result<void> append(std::span<const std::byte> bytes) override {
    if (size_ + static_cast<std::int64_t>(bytes.size()) > max_bytes_) {
      return fail(Code::kTooLarge, fmt::format("the image has more than {} bytes", max_bytes_), "raise [api] max_image_bytes");
    }
    CA_TRY_VOID(file_.write_at(size_, bytes));
    md5_.add(bytes);
    sha512_.add(bytes);
    size_ += static_cast<std::int64_t>(bytes.size());
    return {};
  }

  Result<StoredImage> finish() override {
    CA_TRY(const auto source, open_file_source(file_.part_path()));
    CA_TRY(const ImageFacts facts, inspect_image(format_, *source));
    if (auto kept = file_.commit(); !kept) {
      // It may have its name already, but not for good.
      [[maybe_unused]] const auto removed = remove_file(file_.path());
      return tl::unexpected<Error>(std::move(kept).error());
    }
    return StoredImage{size_, facts.virtual_size_bytes, md5_.hex(), sha512_.hex()};
  }

 private:
  DurableFile file_;
  DiskFormat format_;
  std::int64_t max_bytes_;
  std::int64_t size_ = 0;
  Digest md5_, sha512_;
};

class LocalStore final : public ImageStore {
 public:
  explicit LocalStore(std::string directory) : directory_(std::move(directory)) {}

  Result<std::unique_ptr<ImageUpload>> begin(const Uuid& id, DiskFormat format, std::int64_t max_bytes) override {
    CA_TRY_VOID(make_directories(directory_));
    CA_TRY(DurableFile file, DurableFile::create(path(id), 0640));
    return std::make_unique<LocalUpload>(std::move(file), format, max_bytes);
  }

  Result<StoredImage> take(const Uuid& id, DiskFormat format, const std::string& file, std::int64_t max_bytes) override {
    CA_TRY_VOID(make_directories(directory_));
    CA_TRY(const bool waiting, regular_file_exists(file));
    if (!waiting) return examine(path(id), format, max_bytes);
    CA_TRY(StoredImage stored, examine(file, format, max_bytes));
    if (::chown(file.c_str(), ::geteuid(), ::getegid()) != 0) return fail_file(errno, "cannot take over", file);
    if (::chmod(file.c_str(), 0640) != 0) return fail_file(errno, "cannot change the mode of", file);
    CA_TRY_VOID(sync_file(file));
    if (::rename(file.c_str(), path(id).c_str()) == 0) {
      CA_TRY_VOID(fsync_parent(path(id)));
      return stored;
    }
    if (errno != EXDEV) return fail_file(errno, "cannot move into the image store", file);
    CA_TRY_VOID(copy_in(file, id));
    CA_TRY(stored, examine(path(id), format, max_bytes));
    CA_TRY_VOID(remove_file(file));
    return stored;
  }

  Result<void> remove(const Uuid& id) override { return remove_file(path(id)); }

  [[nodiscard]] std::string path(const Uuid& id) const override { return directory_ + "/" + id; }

 private:
  static Result<StoredImage> examine(const std::string& path, DiskFormat format, std::int64_t max_bytes) {
    CA_TRY(const OpenedFile opened, open_regular(path));
    const std::int64_t size = opened.info.st_size;
    if (size > max_bytes) {
      return fail(Code::kTooLarge, fmt::format("the image has {} bytes; at most {} are taken", size, max_bytes),
                  "raise [api] max_image_bytes");
    }
    CA_TRY(const auto source, open_file_source(path));
    CA_TRY(const ImageFacts facts, inspect_image(format, *source));
    Digest md5(EVP_md5()), sha512(EVP_sha512());
    CA_TRY_VOID(read_through(opened.fd.get(), path, size, [&](std::span<const std::byte> bytes) {
      md5.add(bytes);
      sha512.add(bytes);
    }));
    return StoredImage{size, facts.virtual_size_bytes, md5.hex(), sha512.hex()};
  }

  [[nodiscard]] Result<void> copy_in(const std::string& file, const Uuid& id) const {
    CA_TRY(const OpenedFile from, open_regular(file));
    CA_TRY(DurableFile to, DurableFile::create(path(id), 0640));
    CA_TRY_VOID(sparse_copy(from.fd.get(), file, to.fd(), to.part_path(), from.info.st_size));
    return to.commit();
  }

  std::string directory_;
};

}  // namespace

std::unique_ptr<ImageStore> make_local_image_store(std::string directory) { return std::make_unique<LocalStore>(std::move(directory)); }

}  // namespace ca
