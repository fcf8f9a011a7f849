#pragma once
// The REST listener (cpprestsdk). The only file of the agent that knows HTTP; see router.h for what handlers see.

#include <memory>
#include <string>

#include "agent/api/api_services.h"

namespace ca {

class ApiServer {
 public:
  // `token`: what X-Auth-Token has to be.
  ApiServer(const Router& router, ApiServices& services, std::string token);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // kConflict when the port is taken.
  Result<void> open(const std::string& address, std::int64_t port);
  // No request is taken after this returns.
  void close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca
