#include <fmt/format.h>
#include <openssl/evp.h>

#include <sstream>

#include "agent/api/api_services.h"
#include "agent/core/clock.h"

namespace ca {
namespace {

std::string key_id(const std::string& name) { return std::string(kUserId) + "/" + name; }

// MD5 of the key blob with colons: the fingerprint nova shows. kInvalid when it is no OpenSSH public key line.
Result<std::string> fingerprint_of(const std::string& public_key) {
  std::istringstream words(public_key);
  std::string type, base64;
  words >> type >> base64;
  const bool known = type.starts_with("ssh-") || type.starts_with("ecdsa-") || type.starts_with("sk-");
  std::string blob(base64.size(), '\0');
  const int length = known && !base64.empty() && base64.size() % 4 == 0
                         ? EVP_DecodeBlock(reinterpret_cast<unsigned char*>(blob.data()),
                                           reinterpret_cast<const unsigned char*>(base64.data()), static_cast<int>(base64.size()))
                         : -1;
  if (length < 16 || public_key.find('\n') != std::string::npos) {
    return fail(Code::kInvalid, "Keypair data is invalid: failed to generate fingerprint", "give one line of an OpenSSH public key file");
  }
  std::size_t size = static_cast<std::size_t>(length);
  if (base64.ends_with("=="))
    size -= 2;
  else if (base64.ends_with("="))
    size -= 1;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_size = 0;
  if (EVP_Digest(blob.data(), size, digest, &digest_size, EVP_md5(), nullptr) != 1) return fail(Code::kInternal, "MD5 is not available");
  std::string text;
  for (unsigned int i = 0; i < digest_size; ++i) text += fmt::format("{}{:02x}", i == 0 ? "" : ":", digest[i]);
  return text;
}

Json keypair_view(const Keypair& k) {
  return {{"name", k.name},
          {"public_key", k.public_key},
          {"fingerprint", k.fingerprint},
          {"type", k.type},
          {"user_id", k.user_id},
          {"created_at", iso_micros(k.created_us)},
          {"deleted", false},
          {"id", 0}};
}

Result<ApiResponse> create_keypair(ApiServices& s, const ApiRequest& request) {
  CA_TRY(const Json body, checked_body(s, request, "keypair_create"));
  const Json& given = body.at("keypair");
  Keypair pair;
  pair.name = given.at("name");
  pair.public_key = given.at("public_key");
  while (!pair.public_key.empty() && (pair.public_key.back() == '\n' || pair.public_key.back() == '\r')) pair.public_key.pop_back();
  pair.user_id = kUserId;
  CA_TRY(pair.fingerprint, fingerprint_of(pair.public_key));
  CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
    if (tx.get<Keypair>(key_id(pair.name))) return fail(Code::kConflict, fmt::format("Key pair '{}' already exists.", pair.name));
    pair.created_us = tx.now_us();
    return tx.put(pair);
  }));
  ApiResponse response;
  response.status = 201;
  response.body = Json{{"keypair", keypair_view(pair)}};
  return response;
}

}  // namespace

void add_keypair_routes(Router& router, ApiServices& s) {
  const std::string base = "/compute/v2.1/os-keypairs";
  router.add("POST", base, [&s](const ApiRequest& r) { return create_keypair(s, r); });
  router.add("GET", base, [&s](const ApiRequest&) -> Result<ApiResponse> {
    Json list = Json::array();
    for (const auto& pair : s.verbs.store.all<Keypair>()) list.push_back({{"keypair", keypair_view(*pair)}});
    ApiResponse response;
    response.body = Json{{"keypairs", std::move(list)}};
    return response;
  });
  router.add("GET", base + "/{name}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    const auto pair = s.verbs.store.get<Keypair>(key_id(r.param("name")));
    if (!pair) return fail(Code::kNotFound, fmt::format("Keypair {} not found for user {}", r.param("name"), kUserId));
    ApiResponse response;
    response.body = Json{{"keypair", keypair_view(*pair)}};
    return response;
  });
  router.add("DELETE", base + "/{name}", [&s](const ApiRequest& r) -> Result<ApiResponse> {
    if (!s.verbs.store.get<Keypair>(key_id(r.param("name")))) {
      return fail(Code::kNotFound, fmt::format("Keypair {} not found for user {}", r.param("name"), kUserId));
    }
    CA_TRY_VOID(s.verbs.store.write(Durability::kFsync, [&](Tx& tx) { return tx.erase<Keypair>(key_id(r.param("name"))); }));
    ApiResponse response;
    response.status = 202;
    return response;
  });
}

}  // namespace ca
