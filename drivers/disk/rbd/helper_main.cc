// compute-agent-rbd: the agent's calls to Ceph. Started by the agent with a socket as standard input, by which requests come and answers
// go; ends when the agent does.

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "drivers/disk/rbd/direct_rbd.h"
#include "drivers/disk/rbd/wire.h"

namespace ca::rbd {
namespace {

constexpr int kMostCalls = 64;
constexpr int kSocket = STDIN_FILENO;

using Call = std::function<Result<Json>(RbdModule&, const Json& args)>;

Result<Json> done(Result<void> outcome) {
  CA_TRY_VOID(std::move(outcome));
  return Json(nullptr);
}

template <typename T>
Result<Json> shown(Result<T> outcome) {
  CA_TRY(T value, std::move(outcome));
  return Json(std::move(value));
}

std::string text(const Json& args, std::size_t at) { return args.at(at).get<std::string>(); }
std::int64_t number(const Json& args, std::size_t at) { return args.at(at).get<std::int64_t>(); }

Uuid image_id(const Json& args) {
  Uuid id = text(args, 1);
  if (!is_uuid(id)) throw std::invalid_argument("an image id is not a UUID");
  return id;
}

Result<Json> source(RbdModule& m, const Json& a) {
  const DiskSource source = m.disks().source(text(a, 0));
  Json hosts = Json::array();
  for (const auto& host : source.hosts) hosts.push_back({host.name, host.port});
  return Json{{"hosts", hosts}, {"config_file", source.config_file}};
}

Result<Json> create(RbdModule& m, const Json& a) {
  return done(m.disks().create({.path = text(a, 0),
                                .base_path = text(a, 1),
                                .base_format = disk_format_from(text(a, 2)),
                                .base_virtual_bytes = number(a, 3),
                                .size_bytes = number(a, 4)}));
}

Result<Json> clone(RbdModule& m, const Json& a) {
  ImageMeta image;
  image.id = text(a, 0);
  image.location = text(a, 1);
  return shown(m.disks().create_from_image(image, text(a, 2), number(a, 3)));
}

Result<Json> size(RbdModule& m, const Json& a) {
  CA_TRY(const auto bytes, m.disks().size(text(a, 0)));
  return bytes ? Json(*bytes) : Json(nullptr);
}

Result<Json> snapshot(RbdModule& m, const Json& a) {
  CA_TRY(const auto image, m.disks().snapshot(text(a, 0), image_id(a)));
  return image ? Json{image->location, image->size_bytes} : Json(nullptr);
}

Result<Json> capacity(RbdModule& m, const Json&) {
  CA_TRY(const DiskCapacity disk, m.disks().capacity());
  return Json{disk.total_bytes, disk.free_bytes};
}

Result<ImagePool*> pool(RbdModule& m) {
  if (m.images() != nullptr) return m.images();
  return fail(Code::kInternal, "there is no pool for images");
}

Result<Json> put_image(RbdModule& m, const Json& a) {
  CA_TRY(ImagePool * images, pool(m));
  return shown(images->import(text(a, 0), text(a, 1)));
}

Result<Json> remove_image(RbdModule& m, const Json& a) {
  CA_TRY(ImagePool * images, pool(m));
  return done(images->remove(text(a, 0)));
}

const std::map<std::string, Call>& calls() {
  static const std::map<std::string, Call> all{
      {"key", [](RbdModule& m, const Json&) { return shown(m.key()); }},
      {"source", source},
      {"create", create},
      {"clone", clone},
      {"size", size},
      {"snapshot", snapshot},
      {"capacity", capacity},
      {"put_image", put_image},
      {"remove_image", remove_image},
      {"import", [](RbdModule& m, const Json& a) { return done(m.disks().import(text(a, 0), text(a, 1))); }},
      {"remove", [](RbdModule& m, const Json& a) { return done(m.disks().remove(text(a, 0))); }},
      {"remove_all", [](RbdModule& m, const Json& a) { return done(m.disks().remove_all(text(a, 0))); }},
      {"resize", [](RbdModule& m, const Json& a) { return done(m.disks().resize(text(a, 0), number(a, 1))); }},
      {"check_unused", [](RbdModule& m, const Json& a) { return done(m.disks().check_unused(text(a, 0))); }},
      {"fence", [](RbdModule& m, const Json& a) { return done(m.disks().fence(text(a, 0), text(a, 1))); }},
      {"flatten", [](RbdModule& m, const Json& a) { return done(m.disks().flatten(text(a, 0))); }},
      {"keep", [](RbdModule& m, const Json& a) { return done(m.disks().keep(text(a, 0))); }},
      {"give_back", [](RbdModule& m, const Json& a) { return done(m.disks().give_back(text(a, 0))); }},
      {"forget_kept", [](RbdModule& m, const Json& a) { return done(m.disks().forget_kept(text(a, 0))); }},
      {"mark_snapshot", [](RbdModule& m, const Json& a) { return shown(m.disks().mark_snapshot(text(a, 0), image_id(a))); }},
      {"export_snapshot", [](RbdModule& m, const Json& a) { return done(m.disks().export_snapshot(text(a, 0), image_id(a), text(a, 2))); }},
      {"forget_snapshot", [](RbdModule& m, const Json& a) { return done(m.disks().forget_snapshot(text(a, 0), image_id(a))); }},
      {"keep_record", [](RbdModule& m, const Json& a) { return done(m.disks().keep_record(text(a, 0), text(a, 1))); }},
      {"kept_record", [](RbdModule& m, const Json& a) { return shown(m.disks().kept_record(text(a, 0))); }},
  };
  return all;
}

Result<Json> answer(RbdModule& module, const Json& request) {
  try {
    return calls().at(request.at("call").get<std::string>())(module, request.at("args"));
  } catch (const std::exception& e) {
    return fail(Code::kInternal, fmt::format("a call of the disks in Ceph broke off: {}", e.what()), "report this defect");
  }
}

int serve() {
  LineReader reader(kSocket);
  std::string line;
  if (!reader.next(line)) return 2;
  const Json options = Json::parse(line);
  if (!write_line(kSocket, {{"version", COMPUTE_AGENT_VERSION}}) || options.at("version") != COMPUTE_AGENT_VERSION) return 2;
  const std::unique_ptr<RbdModule> module = make_direct_rbd(options_from(options));
  std::mutex writing;
  std::atomic<int> running = 0;
  while (reader.next(line)) {
    const auto work = [&, request = Json::parse(line)] {
      const Result<Json> outcome = answer(*module, request);
      Json reply{{"id", request.at("id")}};
      if (outcome)
        reply["result"] = *outcome;
      else
        reply["error"] = to_json(outcome.error());
      const std::lock_guard lock(writing);
      if (!write_line(kSocket, reply)) _exit(0);
      --running;
    };
    if (++running > kMostCalls) {
      const std::lock_guard lock(writing);
      --running;
      const Error busy = fail(Code::kUnavailable, fmt::format("{} calls to Ceph run already", kMostCalls)).value();
      if (!write_line(kSocket, {{"id", Json::parse(line).at("id")}, {"error", to_json(busy)}})) _exit(0);
      continue;
    }
    std::thread(work).detach();
  }
  // The agent is gone. What still runs is cut off, as it would be within the agent; its steps are safe to run again.
  _exit(0);
}

}  // namespace
}  // namespace ca::rbd

int main() {
  // A stop of the whole unit reaches this process too; the agent still drains then and ends it afterwards.
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return ca::rbd::serve();
  } catch (const std::exception& e) {
    fmt::print(stderr, "compute-agent-rbd: {}; it is started by compute-agent, not by hand\n", e.what());
    return 2;
  }
}
