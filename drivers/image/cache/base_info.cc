#include "drivers/image/cache/base_info.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "drivers/files/durable_file.h"
#include "drivers/files/instance_dir.h"

namespace ca {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kBlock = 64 << 10;
constexpr std::size_t kLongestInfo = 4096;

std::string info_path(const std::string& base_path) { return base_path + ".info"; }

// Of a file that is damaged itself nothing is believed.
std::optional<BaseInfo> parsed(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto string_of = [&](const char* name) {
    const auto member = json.find(name);
    return member != json.end() && member->is_string() ? member->get<std::string>() : std::string();
  };
  const auto number_of = [&](const char* name) {
    const auto member = json.find(name);
    return member != json.end() && member->is_number_integer() ? member->get<std::int64_t>() : 0;
  };
  BaseInfo info;
  info.sha256 = string_of("sha256");
  info.image_id = string_of("image_id");
  info.size_bytes = number_of("size_bytes");
  info.checked_us = number_of("checked_us");
  info.damaged = json.contains("damaged") && json["damaged"] == true;
  if (info.sha256.size() != 64 || (!info.image_id.empty() && !is_uuid(info.image_id))) return std::nullopt;
  return info;
}

class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    good_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }
  void add(std::int64_t offset, std::span<const std::byte> block) {
    std::array<unsigned char, 8> at{};
    for (std::size_t i = 0; i < at.size(); ++i) at[i] = static_cast<unsigned char>(static_cast<std::uint64_t>(offset) >> (8 * i));
    good_ = good_ && EVP_DigestUpdate(context_.get(), at.data(), at.size()) == 1 &&
            EVP_DigestUpdate(context_.get(), block.data(), block.size()) == 1;
  }
  Result<std::string> finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    if (!good_ || EVP_DigestFinal_ex(context_.get(), digest.data(), &length) != 1) {
      return fail(Code::kExternal, "OpenSSL cannot compute sha256");
    }
    std::string hex;
    for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool good_ = false;
};

bool all_zero(std::span<const std::byte> bytes) {
  return bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// Where data begins at or after `at`, rounded down to a block; `size` when there is none.
Result<std::int64_t> next_block(int fd, std::int64_t at, std::int64_t size, const std::string& path) {
  const off_t data = ::lseek(fd, at, SEEK_DATA);
  if (data >= 0) return std::min<std::int64_t>(data / kBlock * kBlock, size);
  if (errno == ENXIO) return size;
  if (errno == EINVAL || errno == EOPNOTSUPP) return at;  // no holes known on this file system
  return fail_file(errno, "cannot seek in", path);
}

// Sleeps so that no more than the allowed bytes are read a second.
class Pace {
 public:
  explicit Pace(std::int64_t bytes_per_second) : rate_(bytes_per_second) {}
  void read(std::int64_t bytes) {
    if (rate_ <= 0) return;
    done_ += bytes;
    std::this_thread::sleep_until(began_ + std::chrono::microseconds(done_ * 1'000 / std::max<std::int64_t>(rate_ / 1'000, 1)));
  }

 private:
  std::int64_t rate_, done_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace

Result<std::optional<BaseInfo>> read_base_info(const std::string& base_path) {
  auto text = read_tail(info_path(base_path), kLongestInfo);
  if (!text) return tl::unexpected<Error>(std::move(text).error());
  return parsed(*text);
}

Result<void> write_base_info(const std::string& base_path, const BaseInfo& info) {
  const Json json{{"sha256", info.sha256},
                  {"size_bytes", info.size_bytes},
                  {"image_id", info.image_id},
                  {"checked_us", info.checked_us},
                  {"damaged", info.damaged}};
  return write_text_file(info_path(base_path), json.dump(), 0644);
}

Result<void> remove_base_info(const std::string& base_path) { return remove_file(info_path(base_path)); }

Result<std::string> base_digest(int fd, const std::string& path, std::int64_t size, const CheckLimits& limits) {
  Digest digest;
  Pace pace(limits.bytes_per_second);
  std::vector<std::byte> buffer(static_cast<std::size_t>(kBlock));
  CA_TRY(std::int64_t at, next_block(fd, 0, size, path));
  while (at < size) {
    if (limits.cancelled && limits.cancelled()) return fail(Code::kCancelled, "the check of " + path + " was ended");
    const auto block = std::span(buffer).first(static_cast<std::size_t>(std::min(kBlock, size - at)));
    const ssize_t got = ::pread(fd, block.data(), block.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_file(errno, "cannot read", path);
    if (got != static_cast<ssize_t>(block.size())) return fail(Code::kIo, fmt::format("{} ends before byte {}", path, size));
    if (!all_zero(block)) digest.add(at, block);
    pace.read(got);
    CA_TRY(at, next_block(fd, at + kBlock, size, path));
  }
  return digest.finish();
}

}  // namespace ca
