// What an agent does with disks in Ceph, one call at a time: tests/integration/rbd_test.py runs it beside the agent, and on another "host".
//   rbd-tool HELPER_PATH CEPH_CONF USER COMMAND [ARG]...
// Prints one JSON object: seconds, and the result or the error.

#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "drivers/disk/rbd/rbd_module.h"

namespace ca {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;
using Command = std::function<Result<Json>(RbdModule&, const Arguments&)>;

Result<Json> nothing(Result<void> outcome) {
  CA_TRY_VOID(std::move(outcome));
  return Json(nullptr);
}

Result<Json> clone(RbdModule& module, const Arguments& a) {
  ImageMeta image;
  image.location = a.at(0);
  CA_TRY(const bool made, module.disks().create_from_image(image, a.at(1), std::stoll(a.at(2))));
  return Json(made);
}

Result<Json> create(RbdModule& module, const Arguments& a) {
  return nothing(module.disks().create({.path = a.at(1),
                                        .base_path = a.at(0),
                                        .base_format = DiskFormat::kRaw,
                                        .base_virtual_bytes = std::stoll(a.at(2)),
                                        .size_bytes = std::stoll(a.at(3))}));
}

Result<Json> size(RbdModule& module, const Arguments& a) {
  CA_TRY(const auto bytes, module.disks().size(a.at(0)));
  return bytes ? Json(*bytes) : Json(nullptr);
}

Result<Json> snapshot(RbdModule& module, const Arguments& a) {
  CA_TRY_VOID(module.disks().mark_snapshot(a.at(0), a.at(1)));
  CA_TRY(const auto image, module.disks().snapshot(a.at(0), a.at(1)));
  CA_TRY_VOID(module.disks().forget_snapshot(a.at(0), a.at(1)));
  return image ? Json{{"location", image->location}, {"bytes", image->size_bytes}} : Json(nullptr);
}

Result<Json> put_image(RbdModule& module, const Arguments& a) {
  CA_TRY(std::string location, module.images()->import(a.at(0), a.at(1)));
  return Json(location);
}

Result<Json> record(RbdModule& module, const Arguments& a) {
  CA_TRY(std::string text, module.disks().kept_record(a.at(0)));
  return Json(text);
}

const std::map<std::string, Command>& commands() {
  static const std::map<std::string, Command> all{
      {"clone", clone},
      {"create", create},
      {"size", size},
      {"snapshot", snapshot},
      {"record", record},
      {"put-image", put_image},
      {"remove-image", [](RbdModule& m, const Arguments& a) { return nothing(m.images()->remove(a.at(0))); }},
      {"resize", [](RbdModule& m, const Arguments& a) { return nothing(m.disks().resize(a.at(0), std::stoll(a.at(1)))); }},
      {"remove", [](RbdModule& m, const Arguments& a) { return nothing(m.disks().remove(a.at(0))); }},
      {"check-unused", [](RbdModule& m, const Arguments& a) { return nothing(m.disks().check_unused(a.at(0))); }},
      {"fence", [](RbdModule& m, const Arguments& a) { return nothing(m.disks().fence(a.at(0), a.at(1))); }},
  };
  return all;
}

int run(const Arguments& words) {
  const RbdOptions options{.pool = "vms",
                           .ceph_conf = words.at(1),
                           .user = words.at(2),
                           .secret_uuid = {},
                           .store_pool = "images",
                           .store_user = words.at(2),
                           .store_ceph_conf = words.at(1),
                           .destroy_retries = 1,
                           .destroy_interval = std::chrono::seconds(1)};
  const auto module = start_rbd(words.at(0), options);
  if (!module) {
    std::cerr << module.error().chain() << '\n';
    return 2;
  }
  // The connection is made once by an agent, so it is no part of a call's time.
  [[maybe_unused]] const auto connected = (*module)->disks().capacity();
  const auto began = std::chrono::steady_clock::now();
  const Result<Json> outcome = commands().at(words.at(3))(**module, Arguments(words.begin() + 4, words.end()));
  Json shown{{"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count()}};
  if (outcome)
    shown["result"] = *outcome;
  else
    shown["error"] = {{"code", to_string(outcome.error().code)}, {"text", outcome.error().chain()}, {"action", outcome.error().action()}};
  std::cout << shown.dump() << '\n';
  return 0;
}

}  // namespace
}  // namespace ca

int main(int argc, char** argv) {
  try {
    return ca::run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& e) {
    std::cerr << "rbd-tool: " << e.what() << '\n';
    return 2;
  }
}
