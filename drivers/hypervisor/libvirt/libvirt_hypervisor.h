#pragma once
// The real hypervisor, by libvirt's C API. No libvirt header is needed to use this one.
//
// One event thread runs libvirt's default event loop; a second thread lives only while a connection is being opened, because
// opening can hang (a stopped libvirtd accepts and never answers). libvirt has one event loop per process: start at most
// one connection at a time.

#include <chrono>
#include <memory>
#include <string>

#include "drivers/hypervisor.h"
#include "drivers/network/bridge/host_networks.h"

namespace ca {

struct LibvirtOptions {
  std::string uri = "qemu:///system";
  // A peer that is silent for interval * (count + 1) seconds is taken for lost; this bounds every call to a hung libvirtd.
  int keepalive_interval_s = 5;
  unsigned keepalive_count = 3;
  std::chrono::milliseconds first_retry{50};  // doubles, with jitter, up to longest_retry
  std::chrono::milliseconds longest_retry{5'000};
  std::chrono::milliseconds stop_limit{2'000};  // stop() leaves a call behind that hangs longer
  // Checks XML against libvirt's schema at define, so that a misspelt element is an error instead of being ignored (5 ms).
  bool validate_xml = true;
};

class LibvirtConnection;  // shared by the hypervisor and the networks

[[nodiscard]] std::shared_ptr<LibvirtConnection> make_libvirt_connection(LibvirtOptions options);

// Starting and stopping the hypervisor starts and stops the connection that it shares.
[[nodiscard]] std::unique_ptr<Hypervisor> make_libvirt_hypervisor(std::shared_ptr<LibvirtConnection> connection);
[[nodiscard]] std::unique_ptr<Hypervisor> make_libvirt_hypervisor(LibvirtOptions options);

// libvirt's network driver over the same connection; kUnavailable while the connection is down.
[[nodiscard]] std::unique_ptr<HostNetworks> make_libvirt_networks(std::shared_ptr<LibvirtConnection> connection);

}  // namespace ca
