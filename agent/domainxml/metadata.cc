#include <ctime>

#include "agent/domainxml/converters.h"

namespace ca::domainxml {
namespace {

// "2026-11-21 00:20:18", UTC.
std::string creation_time(std::int64_t wall_us) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts));
}

void add_flavor(Node instance, const Flavor& flavor) {
  Node node = add(instance, "nova:flavor");
  set(node, "name", xml_safe(flavor.name));
  add_text(node, "nova:memory", flavor.memory_mib);
  add_text(node, "nova:disk", flavor.root_gib);
  add_text(node, "nova:swap", flavor.swap_mib);
  add_text(node, "nova:ephemeral", flavor.ephemeral_gib);
  add_text(node, "nova:vcpus", flavor.vcpus);
}

// Users and projects have ids here and no names; "N/A" is what nova writes then.
void add_owner(Node instance, const Instance& record) {
  Node node = add(instance, "nova:owner");
  set(add_text(node, "nova:user", "N/A"), "uuid", xml_safe(record.user_id));
  set(add_text(node, "nova:project", "N/A"), "uuid", xml_safe(record.project_id));
}

void add_ports(Node instance, const std::vector<NicDevice>& nics) {
  Node ports = add(instance, "nova:ports");
  for (const NicDevice& nic : nics) {
    Node port = add(ports, "nova:port");
    set(port, "uuid", nic.port.id);
    for (const FixedIp& fixed : nic.port.fixed_ips) {
      Node ip = add(port, "nova:ip");
      set(ip, "type", "fixed");
      set(ip, "address", fixed.ip_address);
      set(ip, "ipVersion", fixed.ip_address.find(':') == std::string::npos ? "4" : "6");
    }
  }
}

}  // namespace

void add_nova_metadata(Node domain, const GuestSpec& spec) {
  const Instance& record = spec.instance;
  Node instance = add(add(domain, "metadata"), "nova:instance");
  set(instance, "xmlns:nova", "http://openstack.org/xmlns/libvirt/nova/1.1");
  set(add(instance, "nova:package"), "version", spec.product_version);
  add_text(instance, "nova:name", xml_safe(record.name));
  add_text(instance, "nova:creationTime", creation_time(record.created_us));
  add_flavor(instance, record.flavor);
  add_owner(instance, record);
  if (!record.image.id.empty()) {
    Node root = add(instance, "nova:root");
    set(root, "type", "image");
    set(root, "uuid", record.image.id);
  }
  add_ports(instance, spec.nics);
}

}  // namespace ca::domainxml
