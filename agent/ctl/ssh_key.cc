#include "agent/ctl/ssh_key.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "agent/core/ids.h"

namespace ca::ctl {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kBlock = 8;
constexpr std::string_view kType = "ssh-ed25519";

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

void append_number(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> static_cast<unsigned>(shift) & 0xFFU);
}

void append_text(std::string& out, std::string_view text) {
  append_number(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

std::string base64(const std::string& bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::string armoured(const std::string& bytes) {
  constexpr std::size_t kLine = 70;
  const std::string text = base64(bytes);
  std::string out = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
  for (std::size_t at = 0; at < text.size(); at += kLine) out += text.substr(at, kLine) + "\n";
  return out + "-----END OPENSSH PRIVATE KEY-----\n";
}

}  // namespace

Result<SshKeyPair> make_ssh_key_pair(const std::string& comment) {
  const std::unique_ptr<EVP_PKEY, FreeKey> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  std::array<unsigned char, kKeyBytes> secret{};
  std::array<unsigned char, kKeyBytes> open{};
  std::size_t secret_size = secret.size();
  std::size_t open_size = open.size();
  const bool made = key && EVP_PKEY_get_raw_private_key(key.get(), secret.data(), &secret_size) == 1 &&
                    EVP_PKEY_get_raw_public_key(key.get(), open.data(), &open_size) == 1;
  if (!made) {
    return fail(Code::kExternal, "OpenSSL could not make an Ed25519 key",
                "make one with ssh-keygen and give its public half with --public-key");
  }
  const std::string_view secret_text(reinterpret_cast<const char*>(secret.data()), secret.size());
  const std::string_view open_text(reinterpret_cast<const char*>(open.data()), open.size());

  std::string public_blob;
  append_text(public_blob, kType);
  append_text(public_blob, open_text);

  // The private part begins with the same number twice, by which a reader knows that decryption worked.
  const std::string check = random_bytes(4);
  std::string private_blob = check + check;
  append_text(private_blob, kType);
  append_text(private_blob, open_text);
  append_text(private_blob, std::string(secret_text) + std::string(open_text));
  append_text(private_blob, comment);
  for (char pad = 1; private_blob.size() % kBlock != 0; ++pad) private_blob += pad;

  std::string file("openssh-key-v1\0", 15);
  append_text(file, "none");  // cipher
  append_text(file, "none");  // key derivation
  append_text(file, "");      // its options
  append_number(file, 1);     // keys
  append_text(file, public_blob);
  append_text(file, private_blob);
  return SshKeyPair{std::string(kType) + " " + base64(public_blob) + (comment.empty() ? "" : " " + comment), armoured(file)};
}

}  // namespace ca::ctl
