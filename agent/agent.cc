#include "agent/agent.h"

#include <fmt/format.h>
#include <pplx/threadpool.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "agent/api/image/upload.h"
#include "agent/api/server.h"
#include "agent/bus/dispatcher.h"
#include "agent/bus/spool.h"
#include "agent/core/base64.h"
#include "agent/expiry.h"
#include "agent/host_monitor.h"
#include "agent/reconcile/loop/reconciler.h"
#include "agent/runtime/startup_pages.h"
#include "agent/service_notify.h"
#include "agent/token.h"
#include "agent/verbs/image_cache_manager.h"
#include "agent/verbs/verb_table.h"
#include "agent/verbs/volume_work.h"
#include "drivers/disk/qcow2/qcow2_backend.h"
#include "drivers/disk/raw/raw_backend.h"
#include "drivers/disk/rbd/rbd_module.h"
#include "drivers/volume.h"
#include "drivers/files/durable_file.h"
#include "drivers/hypervisor/libvirt/libvirt_hypervisor.h"
#include "drivers/image/cache/image_cache.h"
#include "drivers/image/sources/file_image_source.h"
#include "drivers/network/bridge/bridge_network.h"
#include "drivers/process/posix/posix_process_runner.h"

namespace ca {
namespace {

constexpr int kHttpThreads = 2;
// After it is ready: the look at all domains is over then.
constexpr std::chrono::seconds kSettled{3};

// libvirt reads its whole schema again for every define, so only test builds have their XML checked against it.
#ifdef COMPUTE_AGENT_FAULT_POINTS
constexpr bool kValidateXml = true;
#else
constexpr bool kValidateXml = false;
#endif

// Until the storage answers, what needs it waits.
constexpr std::chrono::seconds kAskHostAgain{5};

RbdOptions rbd_options_of(const Config& config) {
  return {.pool = config.images_rbd_pool,
          .ceph_conf = config.images_rbd_ceph_conf,
          .user = config.rbd_user,
          .secret_uuid = config.rbd_secret_uuid,
          .store_pool = config.rbd_store_pool,
          .store_user = config.rbd_store_user,
          .store_ceph_conf = config.rbd_store_ceph_conf,
          .connect_timeout = std::chrono::seconds(config.rbd_connect_timeout),
          .destroy_retries = static_cast<int>(config.rbd_destroy_volume_retries),
          .destroy_interval = std::chrono::seconds(config.rbd_destroy_volume_retry_interval)};
}

// By the name under which records know them.
using DiskBackends = std::map<std::string, std::unique_ptr<DiskBackend>, std::less<>>;

DiskBackends make_disk_backends(const Config& config, ProcessRunner& runner) {
  DiskBackends backends;
  backends["qcow2"] = make_qcow2_backend(config.instances_path, runner, config.qemu_img);
  backends["raw"] = make_raw_backend(config.instances_path);
  return backends;
}

}  // namespace

// Members are destroyed in reverse order: what is used goes last.
struct Agent::Parts {
  explicit Parts(const Config& c)
      : config(c),
        paths(config),
        processes(make_posix_process_runner()),
        connection(make_libvirt_connection({.uri = config.connection_uri, .validate_xml = kValidateXml})),
        hypervisor(make_libvirt_hypervisor(connection)),
        host_networks(make_libvirt_networks(connection)),
        networks(make_bridge_network_driver(*host_networks, {.dhcp_domain = config.dhcp_domain, .networks_path = paths.networks_dir()})),
        image_source(make_file_image_source(paths.image_store())),
        images(make_image_cache({.base_dir = paths.base_dir(),
                                 .locks_dir = paths.locks_dir(),
                                 .force_raw_images = config.force_raw_images,
                                 .qemu_img = config.qemu_img,
                                 .on_new_base = [this](const std::string& name) { note_new_base(name); }},
                                *image_source, *processes)),
        image_store(make_local_image_store(paths.image_store())),
        disk_backends(make_disk_backends(config, *processes)) {
    volumes.backends.emplace("file", make_file_volumes(config.volumes_path));
  }

  Config config;
  Paths paths;
  SystemClock clock;
  SchemaSet schemas;
  TimerQueue timers;
  std::unique_ptr<ProcessRunner> processes;
  std::unique_ptr<Store> store;
  std::shared_ptr<LibvirtConnection> connection;
  std::unique_ptr<Hypervisor> hypervisor;
  std::unique_ptr<HostNetworks> host_networks;
  std::unique_ptr<NetworkDriver> networks;
  std::unique_ptr<ImageSource> image_source;
  std::unique_ptr<ImageCache> images;
  std::unique_ptr<RbdModule> rbd;  // only where images_type = rbd
  std::unique_ptr<ImageStore> image_store;
  DiskBackends disk_backends;  // of files
  std::atomic<bool> said_unknown_host = false;
  VolumeAccess volumes;
  ClaimTable claims{HostCapacity{}};
  DomainEvents events;
  std::unique_ptr<WorkerPool> workers;
  std::unique_ptr<HostMonitor> host;
  std::unique_ptr<Services> services;
  std::unique_ptr<VolumeWork> volume_work;
  std::unique_ptr<ImageCacheManager> image_cache;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<SpoolBus> bus;
  std::unique_ptr<Dispatcher> dispatcher;
  std::unique_ptr<Reconciler> reconciler;
  std::unique_ptr<Expiry> expiry;
  std::unique_ptr<ApiServices> api;
  Router router;
  std::unique_ptr<ApiServer> server;

  [[nodiscard]] DiskBackend& new_disks() const;
  Result<void> make_folders() const;
  Result<void> open_storage();
  Result<void> open_store();
  Result<DiskBackend*> disk_backend(std::string_view storage) const;
  void note_new_base(const std::string& name);
  void look_after_images();
  void restore_claims();
  void forget_half_uploads();
  void connect();
  void on_connected();
  void put_secret();
  void ask_host();
};

Result<void> Agent::Parts::make_folders() const {
  for (const std::string& folder :
       {config.instances_path, paths.base_dir(), paths.locks_dir(), config.data_path, paths.image_store(), config.volumes_path}) {
    if (auto made = make_directories(folder); !made) {
      return wrap(std::move(made).error(), "cannot make " + folder, "make it, owned by the agent's user");
    }
  }
  // Records, keys and the token are nobody else's business.
  if (::chmod(config.data_path.c_str(), 0700) != 0) return fail_errno(errno, "cannot restrict " + config.data_path);
  return {};
}

Result<void> Agent::Parts::open_storage() {
  // Disks keep their back end when images_type changes.
  const bool has_disks = std::ranges::any_of(store->all<Instance>(), [](const auto& instance) {
    return std::ranges::any_of(instance->local_disks, [](const LocalDisk& disk) { return disk.storage == "rbd"; });
  });
  if (config.images_type != "rbd" && !has_disks) return {};
  CA_TRY(rbd, start_rbd(config.helper_path, rbd_options_of(config)));
  if (ImagePool* pool = rbd->images()) image_store = make_pool_image_store(std::move(image_store), *pool, *processes, config.qemu_img);
  return {};
}

// Guests open their disks with it. An instance whose start comes first fails with libvirt's words, so it is made before all else.
void Agent::Parts::put_secret() {
  if (!rbd || config.rbd_user.empty()) return;
  const auto put = [&]() -> Result<void> {
    CA_TRY(const std::string keyring, rbd->key());
    CA_TRY(std::string key, base64_decode(keyring));
    return hypervisor->set_secret({.id = config.rbd_secret_uuid,
                                   .usage = Secret::Usage::kCeph,
                                   .name = "client." + config.rbd_user + " secret",
                                   .value = std::move(key)});
  }();
  if (!put) spdlog::error("guests can't open their disks in Ceph: {}; {}", put.error().chain(), put.error().action());
}

Result<void> Agent::Parts::open_store() {
  CA_TRY(store, Store::open(paths.database(), clock));
  workers =
      std::make_unique<WorkerPool>(timers, static_cast<std::size_t>(config.max_workers), static_cast<std::size_t>(config.max_hung_workers));
  CA_TRY_VOID(open_storage());
  DiskBackend& disks = new_disks();
  host = std::make_unique<HostMonitor>(config, *hypervisor, disks, claims, *store, *processes);
  services = std::make_unique<Services>(
      Services{config, paths, clock, *store, *hypervisor, events, *networks, *images, disks, claims, [this] { return host->virt(); },
               [this](std::string_view storage) { return disk_backend(storage); }, *image_store, *processes, volumes});
  image_cache = std::make_unique<ImageCacheManager>(*services, [this](std::int64_t bytes) {
    // Where disks lie in Ceph, the cache takes nothing of what they have.
    if (config.images_type != "rbd") host->set_image_cache_bytes(bytes);
  });
  volume_work = std::make_unique<VolumeWork>(*services, *workers, timers);
  volumes.work_on = [this](const Uuid& id) { volume_work->work_on(id); };
  journal = std::make_unique<Journal>(*store, *workers, timers, clock, std::chrono::seconds(config.operation_timeout));
  add_verbs(*journal, *services);
  bus = std::make_unique<SpoolBus>(*store, timers);
  dispatcher = std::make_unique<Dispatcher>(*bus, *journal, *store, schemas, *workers);
  dispatcher->add_query("get_console_output", [this](const Message& message) { return get_console_output(*services, message); });
  dispatcher->add_query("get_diagnostics", [this](const Message& message) { return get_diagnostics(*services, message); });
  dispatcher->add_query("ping", [](const Message& message) -> Result<Json> { return Json(message.args.value("arg", "pong")); });
  const auto publish = [this](Tx& tx, const std::string& method, const Uuid& uuid) {
    return publish_order(*api, tx, method, {{"instance", {{"uuid", uuid}}}}, new_request_id());
  };
  reconciler = std::make_unique<Reconciler>(*store, *journal, *hypervisor, *workers, publish, config.resume_guests_state_on_host_boot);
  expiry = std::make_unique<Expiry>(config, clock, *store, timers, *workers, publish);
  api = std::make_unique<ApiServices>(ApiServices{*services, *bus, *journal, schemas, *workers, *image_store,
                                                  [this] { return host->view(); }, clock.wall_us(), *image_cache});
  journal->on_cancel([this](const Uuid& uuid) { events.interrupt(uuid); });
  journal->on_idle([this](const Uuid& uuid) { reconciler->look_at(uuid); });
  return {};
}

DiskBackend& Agent::Parts::new_disks() const {
  if (config.images_type == "rbd") return rbd->disks();
  return *disk_backends.at(config.images_type == "default" ? "qcow2" : config.images_type);
}

Result<DiskBackend*> Agent::Parts::disk_backend(std::string_view storage) const {
  if (storage == "rbd" && rbd) return &rbd->disks();
  const auto found = disk_backends.find(storage);
  if (found != disk_backends.end()) return found->second.get();
  return fail(Code::kInvalid, fmt::format("a disk is recorded as \"{:.32}\", for which this agent has no back end", storage),
              "start the agent with the options that it had when the disk was made");
}

void Agent::Parts::note_new_base(const std::string& name) {
  workers->submit([this, name](TaskLease&) { image_cache->note_new(name); });
}

// Again and again, each time counted from the end of the last.
void Agent::Parts::look_after_images() {
  constexpr std::int64_t kNovasShortest = 60;
  const std::int64_t interval = config.image_cache_manager_interval;
  if (interval < 0) return;
  timers.after(std::chrono::seconds(interval == 0 ? kNovasShortest : interval), [this] {
    workers->submit([this](TaskLease&) {
      image_cache->pass();
      look_after_images();
    });
  });
}

void Agent::Parts::restore_claims() {
  std::vector<std::pair<Uuid, Claim>> held;
  for (const auto& instance : store->all<Instance>()) {
    if (instance->claim) held.emplace_back(instance->uuid, *instance->claim);
  }
  claims.restore(held);
}

// An upload that a crash cut off: its image is queued again, its file is gone.
void Agent::Parts::forget_half_uploads() {
  for (const auto& image : store->all<ImageMeta>()) {
    if (image->status == ImageStatus::kSaving) abandon_upload(*api, image->id);
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.image_store(), error)) {
    const std::string name = entry.path().filename();
    if (is_uuid(name) && store->get<ImageMeta>(name)) continue;
    if (is_uuid(name) || entry.path().extension() == ".part") std::filesystem::remove(entry.path(), error);
  }
}

void Agent::Parts::connect() {
  events.set_sinks([this](const DomainEvent& event) { reconciler->look_at(event.uuid); },
                   [this](bool up, const std::string& reason) {
                     host->set_connection(up, reason);
                     if (up)
                       workers->submit([this](TaskLease& lease) {
                         lease.rearm(std::chrono::seconds(180), [] { spdlog::error("libvirt did not tell the host's facts in time"); });
                         on_connected();
                       });
                   });
  hypervisor->start(events);
  workers->submit([this](TaskLease& lease) {
    lease.rearm(std::chrono::seconds(60), [] { spdlog::error("the KVM probe did not end in time"); });
    host->choose_virt_type();
    journal->wake_parked();
  });
}

void Agent::Parts::on_connected() {
  put_secret();
  ask_host();
  image_cache->tell_bytes();
  reconciler->look_at_all();
  spdlog::info("ready");
  timers.after(kSettled, release_startup_pages);
}

// Until libvirt and the disks' storage have told what the host has, builds wait.
void Agent::Parts::ask_host() {
  const auto facts = host->refresh();
  const bool said = said_unknown_host.exchange(!facts);
  if (facts) {
    if (said) spdlog::info("what the host has is known now");
    journal->wake_parked();
    return;
  }
  if (!said) spdlog::error("what the host has can't be read: {}; {}", facts.error().chain(), facts.error().action());
  // A lost connection to libvirt is followed by a new one, which asks again.
  if (!hypervisor->connected()) return;
  timers.after(kAskHostAgain, [this] {
    workers->submit([this](TaskLease& lease) {
      lease.rearm(std::chrono::seconds(180), [] { spdlog::error("the host's facts were not told in time"); });
      ask_host();
    });
  });
}

Agent::Agent(const Config& config) {
  crossplat::threadpool::initialize_with_threads(kHttpThreads);
  parts_ = std::make_unique<Parts>(config);
}

Agent::~Agent() = default;

Result<void> Agent::start() {
  Parts& p = *parts_;
  CA_TRY_VOID(p.make_folders());
  CA_TRY_VOID(p.open_store());
  CA_TRY(const std::string token, load_or_make_token(p.paths.token_file()));
  p.restore_claims();
  p.forget_half_uploads();
  CA_TRY_VOID(p.volume_work->recover());
  if (auto removed = p.images->remove_unfinished(); !removed) {
    spdlog::warn("what an unfinished fetch left can't be removed: {}; {}", removed.error().chain(), removed.error().action());
  }
  add_server_routes(p.router, *p.api);
  add_server_action_routes(p.router, *p.api);
  add_server_edit_routes(p.router, *p.api);
  add_flavor_routes(p.router, *p.api);
  add_keypair_routes(p.router, *p.api);
  add_host_routes(p.router, *p.api);
  add_image_routes(p.router, *p.api);
  add_image_import_routes(p.router, *p.api);
  add_network_routes(p.router, *p.api);
  add_subnet_routes(p.router, *p.api);
  add_image_cache_routes(p.router, *p.api);
  add_agent_routes(p.router, *p.api);
  add_volume_routes(p.router, *p.api);
  add_volume_snapshot_routes(p.router, *p.api);
  add_connected_volume_routes(p.router, *p.api);
  add_volume_attachment_routes(p.router, *p.api);
  p.server = std::make_unique<ApiServer>(p.router, *p.api, token);
  CA_TRY_VOID(p.server->open(p.config.api_listen, p.config.api_port));
  p.connect();
  p.look_after_images();
  CA_TRY(const std::size_t resumed, p.journal->recover());
  p.bus->start(*p.dispatcher);
  p.expiry->start();
  spdlog::info("compute-agent {} serves host {} on {}:{}, {} instances, {} operations resumed", COMPUTE_AGENT_VERSION, p.config.host,
               p.config.api_listen, p.config.api_port, p.store->count<Instance>(), resumed);
  notify_ready();
  start_watchdog(p.timers);
  return {};
}

bool Agent::drain() {
  Parts& p = *parts_;
  notify_stopping();
  p.bus->stop();
  p.image_cache->stop();
  p.server->close();
  const bool ended = p.journal->drain(std::chrono::seconds(p.config.drain_timeout));
  p.hypervisor->stop();
  p.timers.stop();
  return p.workers->drain(std::chrono::seconds(2)) && ended;
}

Result<std::vector<std::string>> Agent::fault_points() {
  CA_TRY_VOID(parts_->make_folders());
  CA_TRY_VOID(parts_->open_store());
  return parts_->journal->fault_points();
}

}  // namespace ca
