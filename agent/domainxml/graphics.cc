// The VNC display and what only makes sense with one: video, pointer, keyboard.

#include <fmt/format.h>

#include "agent/domainxml/converters.h"

namespace ca::domainxml {
namespace {

constexpr std::int64_t kKibInMib = 1024;

void add_input(Node devices, const char* type, const std::string& bus) {
  Node input = add(devices, "input");
  set(input, "type", type);
  set(input, "bus", bus);
}

}  // namespace

Result<void> add_graphics(Node devices, const GuestSpec& spec, const GuestOptions& options) {
  if (options.video_ram_mib > options.video_ram_max_mib) {
    return fail(Code::kInvalid,
                fmt::format("image property hw_video_ram = {} MiB is more than the flavor's hw_video:ram_max_mb = {} MiB",
                            options.video_ram_mib, options.video_ram_max_mib),
                "lower hw_video_ram or use a flavor that allows more");
  }
  if (!spec.vnc) return {};
  Node graphics = add(devices, "graphics");
  set(graphics, "type", "vnc");
  set(graphics, "autoport", "yes");
  set(graphics, "listen", spec.vnc_listen);
  Node model = add(add(devices, "video"), "model");
  set(model, "type", options.video_model.empty() ? "virtio" : options.video_model);
  if (options.video_ram_mib > 0) set(model, "vram", options.video_ram_mib * kKibInMib);
  add_input(devices, "tablet", options.input_bus.empty() ? "usb" : options.input_bus);
  if (!options.input_bus.empty()) add_input(devices, "keyboard", options.input_bus);
  return {};
}

}  // namespace ca::domainxml
