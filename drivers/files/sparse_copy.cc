#include "drivers/files/sparse_copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "drivers/files/durable_file.h"

namespace ca {
namespace {

constexpr std::int64_t kChunk = 1 << 20;
constexpr std::int64_t kZeroBlock = 64 << 10;  // shorter runs of zeros are written: holes cost extents

using ChunkWriter = std::function<Result<void>(std::int64_t offset, std::span<const std::byte>)>;

bool all_zero(std::span<const std::byte> bytes) {
  return bytes.empty() || (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

void feed_zeros(std::int64_t count, const ByteSink& sink) {
  static constexpr std::array<std::byte, kZeroBlock> kZeros{};
  while (count > 0) {
    const auto n = std::min(count, kZeroBlock);
    sink(std::span(kZeros).first(static_cast<std::size_t>(n)));
    count -= n;
  }
}

Result<void> read_exactly(int fd, std::int64_t offset, std::span<std::byte> buffer, const std::string& path) {
  while (!buffer.empty()) {
    const ssize_t n = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_file(errno, "cannot read", path);
    if (n == 0) return fail(Code::kIo, fmt::format("{} ends at byte {}, {} bytes too early", path, offset, buffer.size()));
    buffer = buffer.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

// The next data range at or after `at`, clipped to size; {size, size} when the rest is a hole.
Result<std::pair<std::int64_t, std::int64_t>> next_data(int fd, std::int64_t at, std::int64_t size, const std::string& path) {
  const off_t begin = ::lseek(fd, at, SEEK_DATA);
  if (begin < 0) {
    if (errno == ENXIO) return std::pair{size, size};
    if (errno == EINVAL || errno == EOPNOTSUPP) return std::pair{at, size};  // no holes known on this file system
    return fail_file(errno, "cannot seek in", path);
  }
  const off_t end = ::lseek(fd, begin, SEEK_HOLE);
  if (end < 0) return fail_file(errno, "cannot seek in", path);
  return std::pair{std::min<std::int64_t>(begin, size), std::min<std::int64_t>(end, size)};
}

// Walks the file: data goes to `writer` (when given) and `sink` (when given), holes to `sink` as zeros.
Result<void> walk(int fd, const std::string& path, std::int64_t size, const ByteSink& sink, const ChunkWriter& writer) {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::clamp<std::int64_t>(size, 1, kChunk)));
  std::int64_t at = 0;
  while (at < size) {
    CA_TRY(const auto range, next_data(fd, at, size, path));
    if (sink) feed_zeros(range.first - at, sink);
    at = range.first;
    while (at < range.second) {
      const auto chunk = std::span(buffer).first(static_cast<std::size_t>(std::min(range.second - at, kChunk)));
      CA_TRY_VOID(read_exactly(fd, at, chunk, path));
      if (sink) sink(chunk);
      if (writer) CA_TRY_VOID(writer(at, chunk));
      at += static_cast<std::int64_t>(chunk.size());
    }
  }
  return {};
}

Result<void> write_without_zeros(int fd, std::int64_t offset, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const auto block = bytes.first(std::min<std::size_t>(bytes.size(), kZeroBlock));
    if (!all_zero(block)) CA_TRY_VOID(write_all(fd, offset, block, path));
    bytes = bytes.subspan(block.size());
    offset += static_cast<std::int64_t>(block.size());
  }
  return {};
}

}  // namespace

Result<void> read_through(int fd, const std::string& path, std::int64_t size, const ByteSink& sink) {
  return walk(fd, path, size, sink, {});
}

Result<void> sparse_copy(int from, const std::string& from_path, int to, const std::string& to_path, std::int64_t size,
                         const ByteSink& sink) {
  if (::ioctl(to, FICLONE, from) == 0) {
    if (::ftruncate(to, size) != 0) return fail_file(errno, "cannot set the size of", to_path);
    // The clone is read, not the source: it is ours alone.
    return sink ? read_through(to, to_path, size, sink) : Result<void>{};
  }
  const ChunkWriter writer = [&](std::int64_t offset, std::span<const std::byte> bytes) {
    return write_without_zeros(to, offset, bytes, to_path);
  };
  CA_TRY_VOID(walk(from, from_path, size, sink, writer));
  if (::ftruncate(to, size) != 0) return fail_file(errno, "cannot set the size of", to_path);
  return {};
}

}  // namespace ca
