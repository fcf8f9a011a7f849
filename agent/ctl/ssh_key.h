#pragma once
// Key pairs for logging in, made here so that a private key never travels.

#include <string>

#include "agent/core/error.h"

namespace ca::ctl {

struct SshKeyPair {
  std::string public_key;   // "ssh-ed25519 AAAA... comment"
  std::string private_key;  // OpenSSH's own format (PROTOCOL.key), not encrypted
};

// Ed25519 from OpenSSL. kExternal when OpenSSL refuses.
[[nodiscard]] Result<SshKeyPair> make_ssh_key_pair(const std::string& comment);

}  // namespace ca::ctl
