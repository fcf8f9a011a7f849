#include "drivers/image/cache/content_check.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace ca {
namespace {

std::string hex(std::span<const unsigned char> bytes) {
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace

Result<std::string> sha1_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha1(), nullptr) != 1) {
    return fail(Code::kExternal, "OpenSSL cannot compute sha1", "allow sha1 for digests in OpenSSL's configuration");
  }
  return hex(std::span(digest).first(length));
}

void ContentCheck::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Result<ContentCheck> ContentCheck::create(const ImageMeta& image) {
  ContentCheck check;
  if (image.os_hash_value.empty()) return check;
  constexpr std::array kAlgorithms{"sha256", "sha384", "sha512"};
  if (std::ranges::find(kAlgorithms, image.os_hash_algo) == kAlgorithms.end()) {
    return fail(Code::kInvalid, fmt::format("image {} is to be checked with \"{:.32}\", which is none of sha256, sha384, sha512", image.id,
                                            image.os_hash_algo));
  }
  check.algorithm_ = image.os_hash_algo;
  check.expected_ = image.os_hash_value;
  check.context_.reset(EVP_MD_CTX_new());
  if (!check.context_ || EVP_DigestInit_ex(check.context_.get(), EVP_get_digestbyname(image.os_hash_algo.c_str()), nullptr) != 1) {
    return fail(Code::kExternal, "OpenSSL cannot compute " + image.os_hash_algo);
  }
  return check;
}

void ContentCheck::update(std::span<const std::byte> bytes) {
  failed_ = EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1 || failed_;
}

Result<void> ContentCheck::finish() {
  if (!wanted()) return {};
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (failed_ || EVP_DigestFinal_ex(context_.get(), digest.data(), &length) != 1) {
    return fail(Code::kExternal, "OpenSSL cannot compute " + algorithm_);
  }
  const std::string found = hex(std::span(digest).first(length));
  if (found == expected_) return {};
  return fail(Code::kUnsafe, fmt::format("its content has {} {}, but its record says {:.128}", algorithm_, found, expected_),
              "the stored file was damaged or changed: delete the image and create it again");
}

}  // namespace ca
