#include "drivers/hypervisor/libvirt/errors.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <cerrno>

namespace ca::lv {
namespace {

Code code_of_system_error(int domain, int errnum) {
  // The transport's own: the socket is missing, refuses or broke.
  if (domain == VIR_FROM_RPC || domain == VIR_FROM_REMOTE) return Code::kUnavailable;
  switch (errnum) {
    case ENOSPC:
    case EDQUOT: return Code::kNoSpace;
    case ENOMEM: return Code::kNoResources;
    case EIO: return Code::kIo;
    case ETIMEDOUT: return Code::kTimeout;
    default: return Code::kExternal;
  }
}

}  // namespace

Code code_of(int code, int domain, int int1) {
  switch (code) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_NETWORK:
    case VIR_ERR_NO_SECRET:
    case VIR_ERR_NO_STORAGE_POOL:
    case VIR_ERR_NO_STORAGE_VOL:
    case VIR_ERR_NO_NWFILTER:
    case VIR_ERR_NO_DOMAIN_SNAPSHOT:
    case VIR_ERR_NO_DOMAIN_CHECKPOINT:
    case VIR_ERR_NO_DOMAIN_METADATA:
    case VIR_ERR_DEVICE_MISSING: return Code::kNotFound;

    case VIR_ERR_OPERATION_INVALID:
    case VIR_ERR_DOM_EXIST:
    case VIR_ERR_NETWORK_EXIST:
    case VIR_ERR_RESOURCE_BUSY:
    case VIR_ERR_BLOCK_COPY_ACTIVE: return Code::kConflict;

    case VIR_ERR_OPERATION_TIMEOUT:
    case VIR_ERR_AGENT_UNRESPONSIVE: return Code::kTimeout;

    case VIR_ERR_OPERATION_ABORTED: return Code::kCancelled;

    case VIR_ERR_RPC:
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_UNKNOWN_HOST:
    case VIR_ERR_SSH:
    case VIR_ERR_LIBSSH:
    case VIR_ERR_GNUTLS_ERROR: return Code::kUnavailable;
    case VIR_ERR_SYSTEM_ERROR: return code_of_system_error(domain, int1);
    // "client socket is closed" and the like come as internal errors of the RPC layer.
    case VIR_ERR_INTERNAL_ERROR: return domain == VIR_FROM_RPC ? Code::kUnavailable : Code::kExternal;

    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_OPERATION_DENIED: return Code::kForbidden;

    case VIR_ERR_NO_MEMORY: return Code::kNoResources;

    case VIR_ERR_XML_ERROR:
    case VIR_ERR_XML_DETAIL:
    case VIR_ERR_XML_INVALID_SCHEMA:
    case VIR_ERR_INVALID_ARG:
    case VIR_ERR_INVALID_MAC:
    case VIR_ERR_CONF_SYNTAX:
    case VIR_ERR_OS_TYPE:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_CPU_INCOMPATIBLE: return Code::kInvalid;

    default: return Code::kExternal;
  }
}

Error last_error() {
  const virErrorPtr last = virGetLastError();
  Error error;
  if (last == nullptr || last->code == VIR_ERR_OK) {
    error.code = Code::kExternal;
    error.message = "libvirt failed and named no reason";
  } else {
    error.code = code_of(last->code, last->domain, last->int1);
    error.message = std::string("libvirt: ") + (last->message != nullptr ? last->message : "error " + std::to_string(last->code));
  }
  if (error.code == Code::kForbidden) {
    error.next_action = "put the agent's user into the group libvirt, or allow it in libvirt's polkit rules";
  }
  virResetLastError();
  return error;
}

void silence_default_handler() {
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

}  // namespace ca::lv
