#pragma once
// Error and Result: the one way in which anything in this project fails.
//
// An Error says four things: a code (what kind of failure), the step in which it happened, a sentence with values, and
// what to do next. It may carry the error that caused it. Layers add context by wrapping:
//   return wrap(std::move(r).error(), "cannot create overlay for " + uuid);
// Exceptions of libraries are caught in the driver that calls them and become an Error there.

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace ca {

enum class Code {
  kInvalid,       // the caller's input is wrong (HTTP 400)
  kUnauthorized,  // no valid token (401)
  kForbidden,     // not allowed (403)
  kNotFound,      // names nothing we have (404)
  kConflict,      // wrong state, or exists already (409)
  kTooLarge,      // over a bound (413)
  kNoResources,   // vCPU, RAM, disk or addresses are used up
  kUnsafe,        // hostile content refused
  kTimeout,       // a bounded call did not end in time
  kUnavailable,   // libvirt, broker or store can't be asked now; trying again makes sense
  kNoSpace,       // ENOSPC, EDQUOT
  kIo,            // a read or write failed
  kCancelled,     // ended by an order: drain, abort, deadline of the operation
  kExternal,      // an outside program or library refused
  kInternal,      // a defect of ours
};

[[nodiscard]] std::string_view to_string(Code code);
// HTTP status that the Compute API answers for this code.
[[nodiscard]] int http_status(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;      // a sentence with values; no trailing period needed
  std::string step;         // "build_and_run_instance/define"; empty outside a verb
  std::string next_action;  // what the reader can do; inherited from the cause when empty
  std::shared_ptr<const Error> cause;

  // "cannot create overlay: qemu-img: no space left" - the whole chain on one line.
  [[nodiscard]] std::string chain() const;
  // The first non-empty next_action along the chain, or a sentence by code.
  [[nodiscard]] std::string action() const;
  // Messages outermost first.
  [[nodiscard]] std::vector<std::string> causes() const;
};

template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] tl::unexpected<Error> fail(Code code, std::string message, std::string next_action = {});
// New outer error with the same code, `cause` beneath it.
[[nodiscard]] tl::unexpected<Error> wrap(Error cause, std::string message, std::string next_action = {});
// From errno: code by value (ENOSPC, ENOENT, ...), message "<what>: <strerror>".
[[nodiscard]] tl::unexpected<Error> fail_errno(int errnum, const std::string& what);

}  // namespace ca

// Leaves the function with the error of `expr` (a Result) when it failed.
#define CA_TRY_VOID(expr)                                                   \
  do {                                                                      \
    if (auto ca_try_result = (expr); !ca_try_result) {                      \
      return tl::unexpected<::ca::Error>(std::move(ca_try_result).error()); \
    }                                                                       \
  } while (false)

#define CA_TRY_CONCAT_(a, b) a##b
#define CA_TRY_CONCAT(a, b) CA_TRY_CONCAT_(a, b)
// CA_TRY(auto value, call()): declares value, or leaves with the error.
#define CA_TRY(decl, expr) CA_TRY_IMPL_(decl, expr, CA_TRY_CONCAT(ca_try_result_, __LINE__))
#define CA_TRY_IMPL_(decl, expr, tmp)                                   \
  auto tmp = (expr);                                                    \
  if (!tmp) return tl::unexpected<::ca::Error>(std::move(tmp).error()); \
  decl = *std::move(tmp)
