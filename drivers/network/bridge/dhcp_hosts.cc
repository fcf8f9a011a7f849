#include "drivers/network/bridge/dhcp_hosts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <span>

#include "drivers/files/durable_file.h"
#include "drivers/files/instance_dir.h"

namespace ca {
namespace {

namespace fs = std::filesystem;

struct Entry {
  std::string file, mac, ip_address;
};

// dnsmasq reads no file whose name begins with a dot, so this is how a file is called while it is written.
constexpr char kUnfinished = '.';

// It becomes part of a path.
bool valid_mac(const std::string& mac) {
  if (mac.size() != 17) return false;
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const char c = mac[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (i % 3 == 2 ? c != ':' : !hex) return false;
  }
  return true;
}

std::string entry_name(const DhcpHost& host) {
  std::string name = host.mac;
  std::ranges::replace(name, ':', '-');
  return name + "_" + host.ip_address;
}

Result<std::vector<Entry>> entries_in(const std::string& directory) {
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    const auto separator = name.find('_');
    if (name.front() == kUnfinished || separator == std::string::npos) continue;
    std::string mac = name.substr(0, separator);
    std::ranges::replace(mac, '-', ':');
    entries.push_back({it->path(), std::move(mac), name.substr(separator + 1)});
  }
  if (error && error != std::errc::no_such_file_or_directory) return fail_errno(error.value(), "cannot read " + directory);
  return entries;
}

Result<void> write_entry(const std::string& directory, const DhcpHost& host) {
  const std::string path = directory + "/" + entry_name(host);
  const std::string unfinished = directory + "/" + kUnfinished + entry_name(host);
  const std::string line = host.mac + "," + host.ip_address + (host.name.empty() ? "" : "," + host.name) + "\n";
  const UniqueFd fd(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd.valid()) return fail_file(errno, "cannot write", unfinished);
  CA_TRY_VOID(write_all(fd.get(), 0, std::as_bytes(std::span(line)), unfinished));
  // The mode by hand: under a strict umask dnsmasq could not read it.
  if (::fchmod(fd.get(), 0644) != 0 || ::fsync(fd.get()) != 0 || ::rename(unfinished.c_str(), path.c_str()) != 0) {
    return fail_file(errno, "cannot write", path);
  }
  return fsync_parent(path);
}

}  // namespace

Result<void> DhcpHosts::prepare(const Uuid& network_id) const {
  const std::string path = directory(network_id);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    CA_TRY_VOID(make_directories(path));
    for (const std::string& made : {root_, path}) {
      if (::chmod(made.c_str(), 0755) != 0) return fail_file(errno, "cannot open to all readers", made);
    }
  }
  for (fs::path up = path; up != up.parent_path(); up = up.parent_path()) {
    struct stat info {};
    if (::stat(up.c_str(), &info) != 0) return fail_file(errno, "cannot look at", up);
    if ((info.st_mode & S_IXOTH) == 0) {
      return fail(Code::kForbidden,
                  "dnsmasq, which runs as a user of its own, cannot reach the DHCP entries in " + path + ": " + up.string() +
                      " is closed to others",
                  "chmod o+x " + up.string() + ", or set state_path to a directory that others may pass");
    }
  }
  return {};
}

Result<std::vector<std::string>> DhcpHosts::put(const Uuid& network_id, const DhcpHost& host) const {
  if (!valid_mac(host.mac)) return fail(Code::kInvalid, "'" + host.mac + "' is no MAC address");
  CA_TRY(const auto entries, entries_in(directory(network_id)));
  for (const auto& entry : entries) {
    if (entry.ip_address == host.ip_address && entry.mac != host.mac) {
      return fail(Code::kConflict, "address " + host.ip_address + " is entered for " + entry.mac + " already",
                  "delete the port that has this address, or choose another one");
    }
  }
  CA_TRY_VOID(write_entry(directory(network_id), host));
  std::vector<std::string> replaced;
  for (const auto& entry : entries) {
    if (entry.mac != host.mac || entry.ip_address == host.ip_address) continue;
    CA_TRY_VOID(remove_file(entry.file));
    replaced.push_back(entry.ip_address);
  }
  return replaced;
}

Result<void> DhcpHosts::remove(const Uuid& network_id, const std::string& mac) const {
  CA_TRY(const auto entries, entries_in(directory(network_id)));
  for (const auto& entry : entries) {
    if (entry.mac == mac) CA_TRY_VOID(remove_file(entry.file));
  }
  return {};
}

Result<void> DhcpHosts::remove_all(const Uuid& network_id) const {
  if (!is_uuid(network_id)) return fail(Code::kInvalid, "'" + network_id + "' is no network id");
  return remove_tree(directory(network_id));
}

}  // namespace ca
