#pragma once
// Digests of image contents, by OpenSSL.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "agent/core/error.h"
#include "agent/core/values.h"

struct evp_md_ctx_st;

namespace ca {

// Lower-case hex sha1; names the files in _base.
[[nodiscard]] Result<std::string> sha1_hex(std::string_view text);

// Computes the digest that an image's record names (os_hash_algo) over bytes fed in order, and compares.
class ContentCheck {
 public:
  // kInvalid for an algorithm we don't take. A record without os_hash_value is not checked: wanted() is
  // false.
  [[nodiscard]] static Result<ContentCheck> create(const ImageMeta& image);

  [[nodiscard]] bool wanted() const { return context_ != nullptr; }
  void update(std::span<const std::byte> bytes);
  // kUnsafe with both digests when they differ.
  [[nodiscard]] Result<void> finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };

  std::unique_ptr<evp_md_ctx_st, Free> context_;
  std::string algorithm_, expected_;
  bool failed_ = false;
};

}  // namespace ca
