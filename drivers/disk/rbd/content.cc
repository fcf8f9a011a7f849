#include "drivers/disk/rbd/content.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <vector>

#include "drivers/files/durable_file.h"

namespace ca::rbd {
namespace {

constexpr std::int64_t kChunk = 4 << 20;  // an object of RBD
constexpr int kInFlight = 4;
constexpr std::size_t kMostMetadata = 1 << 20;

struct FreeOptions {
  void operator()(void* options) const { rbd_image_options_destroy(options); }
};

bool all_zero(const std::vector<char>& bytes) {
  return bytes.empty() || (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// Some writes at a time, each with a buffer of its own that lives until librbd is done with it.
class Writer {
 public:
  explicit Writer(const Image& image) : image_(image) {}

  Result<void> write(std::int64_t offset, std::vector<char> bytes) {
    CA_TRY_VOID(wait_for(kInFlight - 1));
    auto chunk = std::make_unique<Chunk>(Chunk{state_, std::move(bytes)});
    rbd_completion_t completion = nullptr;
    CA_TRY_VOID(check_rbd(rbd_aio_create_completion(chunk.get(), on_written, &completion), "librbd can't write"));
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->pending;
    }
    Chunk* handed = chunk.release();
    const int status =
        rbd_aio_write(image_.get(), static_cast<std::uint64_t>(offset), handed->bytes.size(), handed->bytes.data(), completion);
    if (status >= 0) return {};
    chunk.reset(handed);
    rbd_aio_release(completion);
    const std::lock_guard lock(state_->mutex);
    --state_->pending;
    return fail_rbd(status, fmt::format("cannot write at {}", offset));
  }

  Result<void> finish() {
    CA_TRY_VOID(wait_for(0));
    return check_rbd(rbd_flush(image_.get()), "cannot flush");
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int pending = 0;
    int status = 0;  // of the first write that failed
  };
  struct Chunk {
    std::shared_ptr<State> state;
    std::vector<char> bytes;
  };

  static void on_written(rbd_completion_t completion, void* arg) {
    const std::unique_ptr<Chunk> chunk(static_cast<Chunk*>(arg));
    const auto status = static_cast<int>(rbd_aio_get_return_value(completion));
    rbd_aio_release(completion);
    const std::lock_guard lock(chunk->state->mutex);
    --chunk->state->pending;
    if (status < 0 && chunk->state->status == 0) chunk->state->status = status;
    chunk->state->changed.notify_all();
  }

  Result<void> wait_for(int most) {
    std::unique_lock lock(state_->mutex);
    if (!state_->changed.wait_for(lock, kCallTimeout, [&] { return state_->pending <= most || state_->status < 0; })) {
      return fail_rbd(-ETIMEDOUT, "cannot write");
    }
    return check_rbd(state_->status, "cannot write");
  }

  const Image& image_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

Result<void> read_chunk(int fd, std::int64_t offset, std::vector<char>& bytes, const std::string& path) {
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t n = ::pread(fd, bytes.data() + have, bytes.size() - have, offset + static_cast<std::int64_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_file(errno, "cannot read", path);
    if (n == 0)
      return fail(Code::kIo, fmt::format("{} ends at byte {}, {} bytes too early", path, offset + static_cast<std::int64_t>(have),
                                         bytes.size() - have));
    have += static_cast<std::size_t>(n);
  }
  return {};
}

Result<void> copy(const OpenedFile& from, const std::string& path, Writer& to) {
  const std::int64_t size = from.info.st_size;
  std::int64_t at = 0;
  while (at < size) {
    const off_t data = ::lseek(from.fd.get(), at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0 && errno != EINVAL && errno != EOPNOTSUPP) return fail_file(errno, "cannot seek in", path);
    // Whole objects, so that none is written twice.
    at = data < 0 ? at : std::max<std::int64_t>(at, data / kChunk * kChunk);
    std::vector<char> bytes(static_cast<std::size_t>(std::min(kChunk, size - at)));
    CA_TRY_VOID(read_chunk(from.fd.get(), at, bytes, path));
    const auto length = static_cast<std::int64_t>(bytes.size());
    if (!all_zero(bytes)) CA_TRY_VOID(to.write(at, std::move(bytes)));
    at += length;
  }
  return to.finish();
}

}  // namespace

Result<void> set_metadata(const Image& image, const std::string& key, const std::string& value) {
  return check_rbd(rbd_metadata_set(image.get(), key.c_str(), value.c_str()), "cannot set the metadata " + key);
}

Result<std::string> metadata(const Image& image, const std::string& key) {
  std::string value(4096, '\0');
  std::size_t size = value.size();
  int status = rbd_metadata_get(image.get(), key.c_str(), value.data(), &size);
  if (status == -ERANGE && size <= kMostMetadata) {
    value.assign(size, '\0');
    status = rbd_metadata_get(image.get(), key.c_str(), value.data(), &size);
  }
  if (status == -ENOENT) return std::string();
  CA_TRY_VOID(check_rbd(status, "cannot read the metadata " + key));
  return std::string(value.c_str());
}

Result<void> mark_complete(const Image& image, const std::string& name) { return set_metadata(image, kCompleteKey, name); }

Result<bool> is_complete(const Image& image, const std::string& name) {
  CA_TRY(const std::string mark, metadata(image, kCompleteKey));
  return mark == name;
}

Result<std::int64_t> size_of(const Image& image) {
  std::uint64_t size = 0;
  CA_TRY_VOID(check_rbd(rbd_get_size(image.get(), &size), "the size of an RBD image can't be read"));
  return static_cast<std::int64_t>(size);
}

Result<void> create_from_file(const PoolRef& pool, const std::string& name, const std::string& file, std::int64_t size_bytes) {
  CA_TRY(const OpenedFile from, open_regular(file));
  rbd_image_options_t options = nullptr;
  rbd_image_options_create(&options);
  const std::unique_ptr<void, FreeOptions> owned(options);
  const std::string what = fmt::format("cannot make RBD image {}/{}", pool->name(), name);
  CA_TRY_VOID(check_rbd(rbd_create4(pool->io(), name.c_str(), static_cast<std::uint64_t>(size_bytes), options), what));
  CA_TRY(const Image image, Image::open(pool, name, Image::Mode::kWrite));
  Writer writer(image);
  if (auto copied = copy(from, file, writer); !copied) return wrap(std::move(copied).error(), what);
  return mark_complete(image, name);
}

}  // namespace ca::rbd
