#pragma once
// RAII for libvirt's handles.

#include <libvirt/libvirt.h>

#include <cstdlib>
#include <memory>

namespace ca::lv {

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};

using DomainPtr = std::unique_ptr<virDomain, FreeWith<virDomainFree>>;
using NetworkPtr = std::unique_ptr<virNetwork, FreeWith<virNetworkFree>>;
using SecretPtr = std::unique_ptr<virSecret, FreeWith<virSecretFree>>;
using LeasePtr = std::unique_ptr<virNetworkDHCPLease, FreeWith<virNetworkDHCPLeaseFree>>;
using Text = std::unique_ptr<char, FreeWith<std::free>>;  // what libvirt allocates for us

}  // namespace ca::lv
