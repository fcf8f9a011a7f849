#include "agent/core/error.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace ca {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kInvalid: return "INVALID";
    case Code::kUnauthorized: return "UNAUTHORIZED";
    case Code::kForbidden: return "FORBIDDEN";
    case Code::kNotFound: return "NOT_FOUND";
    case Code::kConflict: return "CONFLICT";
    case Code::kTooLarge: return "TOO_LARGE";
    case Code::kNoResources: return "NO_RESOURCES";
    case Code::kUnsafe: return "UNSAFE";
    case Code::kTimeout: return "TIMEOUT";
    case Code::kUnavailable: return "UNAVAILABLE";
    case Code::kNoSpace: return "NO_SPACE";
    case Code::kIo: return "IO";
    case Code::kCancelled: return "CANCELLED";
    case Code::kExternal: return "EXTERNAL";
    case Code::kInternal: return "INTERNAL";
  }
  return "INTERNAL";
}

int http_status(Code code) {
  switch (code) {
    case Code::kInvalid:
    case Code::kUnsafe: return 400;
    case Code::kUnauthorized: return 401;
    case Code::kForbidden: return 403;
    case Code::kNotFound: return 404;
    case Code::kConflict:
    case Code::kCancelled: return 409;
    case Code::kTooLarge: return 413;
    case Code::kNoResources: return 409;
    case Code::kTimeout: return 504;
    case Code::kUnavailable: return 503;
    case Code::kNoSpace: return 507;
    case Code::kIo:
    case Code::kExternal:
    case Code::kInternal: return 500;
  }
  return 500;
}

namespace {

std::string_view default_action(Code code) {
  switch (code) {
    case Code::kInvalid: return "correct the request and send it again";
    case Code::kUnauthorized: return "send the token of the agent's token file in X-Auth-Token";
    case Code::kForbidden: return "ask someone who is allowed to";
    case Code::kNotFound: return "list what exists and use a name or id from there";
    case Code::kConflict: return "wait for the running operation, or bring it into the state that is asked for";
    case Code::kTooLarge: return "make it smaller";
    case Code::kNoResources: return "use a smaller flavor, or free resources on this host";
    case Code::kUnsafe: return "convert the image on a trusted machine and register it again";
    case Code::kTimeout: return "look whether libvirtd, the storage and the host answer, then try again";
    case Code::kUnavailable: return "wait until the service is back, then try again";
    case Code::kNoSpace: return "free space on the file system that is named, then try again";
    case Code::kIo: return "look at the host's storage (dmesg), then try again";
    case Code::kCancelled: return "order it again if it is still wanted";
    case Code::kExternal: return "read the cause, mend it, then try again";
    case Code::kInternal: return "report it with the agent's log";
  }
  return "report it with the agent's log";
}

}  // namespace

std::string Error::chain() const {
  std::string text = message;
  for (const Error* e = cause.get(); e != nullptr; e = e->cause.get()) text += ": " + e->message;
  return text;
}

std::string Error::action() const {
  for (const Error* e = this; e != nullptr; e = e->cause.get()) {
    if (!e->next_action.empty()) return e->next_action;
  }
  return std::string(default_action(code));
}

std::vector<std::string> Error::causes() const {
  std::vector<std::string> all;
  for (const Error* e = this; e != nullptr; e = e->cause.get()) all.push_back(e->message);
  return all;
}

tl::unexpected<Error> fail(Code code, std::string message, std::string next_action) {
  return tl::unexpected<Error>(
      Error{.code = code, .message = std::move(message), .step = {}, .next_action = std::move(next_action), .cause = nullptr});
}

tl::unexpected<Error> wrap(Error cause, std::string message, std::string next_action) {
  Error outer{
      .code = cause.code, .message = std::move(message), .step = cause.step, .next_action = std::move(next_action), .cause = nullptr};
  outer.cause = std::make_shared<const Error>(std::move(cause));
  return tl::unexpected<Error>(std::move(outer));
}

tl::unexpected<Error> fail_errno(int errnum, const std::string& what) {
  Code code = Code::kIo;
  switch (errnum) {
    case ENOSPC:
    case EDQUOT: code = Code::kNoSpace; break;
    case ENOENT:
    case ENOTDIR: code = Code::kNotFound; break;
    case EEXIST: code = Code::kConflict; break;
    case EACCES:
    case EPERM: code = Code::kForbidden; break;
    case EINVAL: code = Code::kInvalid; break;
    case ETIMEDOUT: code = Code::kTimeout; break;
    case EFBIG: code = Code::kTooLarge; break;
    default: break;
  }
  return fail(code, what + ": " + std::generic_category().message(errnum));
}

}  // namespace ca
