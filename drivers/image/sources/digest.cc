#include "drivers/image/sources/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <algorithm>

namespace ca {

void Digest::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Result<Digest> Digest::create(const std::string& algorithm) {
  constexpr std::array<std::string_view, 4> kKnown{"md5", "sha1", "sha256", "sha512"};
  const EVP_MD* kind = std::ranges::find(kKnown, algorithm) == kKnown.end() ? nullptr : EVP_get_digestbyname(algorithm.c_str());
  if (kind == nullptr)
    return fail(Code::kInvalid, fmt::format("'{:.40}' is no known digest", algorithm), "use sha512, sha256, sha1 or md5");
  Digest digest(EVP_MD_CTX_new());
  if (digest.context_ == nullptr || EVP_DigestInit_ex(digest.context_.get(), kind, nullptr) != 1) {
    return fail(Code::kInternal, "OpenSSL has no " + algorithm);
  }
  return digest;
}

void Digest::add(std::span<const std::byte> bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace ca
