#pragma once
// A digest over bytes that come in pieces (OpenSSL's EVP).

#include <memory>
#include <span>
#include <string>

#include "agent/core/error.h"

struct evp_md_ctx_st;

namespace ca {

class Digest {
 public:
  // "md5", "sha1", "sha256", "sha512"; anything else is kInvalid.
  [[nodiscard]] static Result<Digest> create(const std::string& algorithm);
  void add(std::span<const std::byte> bytes);
  // Once, at the end: lower case hex.
  [[nodiscard]] std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  explicit Digest(evp_md_ctx_st* context) : context_(context) {}
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace ca
