#include "agent/domainxml/converters.h"

namespace ca::domainxml {
namespace {

// virtlogd writes the file anew at each start of the domain, as with nova.
void add_log(Node device, const std::string& path) {
  if (path.empty()) return;
  Node log = add(device, "log");
  set(log, "file", path);
  set(log, "append", "off");
}

}  // namespace

void add_console(Node devices, const GuestSpec& spec) {
  Node serial = add(devices, "serial");
  set(serial, "type", "pty");
  add_log(serial, spec.console_log);
  set(add(serial, "target"), "port", "0");
  Node console = add(devices, "console");
  set(console, "type", "pty");
  add_log(console, spec.console_log);
  Node target = add(console, "target");
  set(target, "type", "serial");
  set(target, "port", "0");
}

}  // namespace ca::domainxml
