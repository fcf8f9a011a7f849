// What the pieces of a build and of a list cost by themselves.

#include <benchmark/benchmark.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>

#include "agent/api/compute/server_view.h"
#include "agent/bus/envelope.h"
#include "agent/domainxml/domain_xml.h"
#include "agent/metadata/instance_metadata.h"
#include "agent/store/store.h"
#include "drivers/config_drive.h"
#include "drivers/disk/qcow2/qcow2_backend.h"
#include "drivers/disk/raw/raw_backend.h"
#include "drivers/files/durable_file.h"
#include "drivers/image/cache/image_cache.h"
#include "drivers/image/sources/file_image_source.h"
#include "drivers/process/posix/posix_process_runner.h"
#include "tests/bench/sample_records.h"

namespace ca::bench {
namespace {

namespace fs = std::filesystem;

// On a real file system (BENCH_DIR, or the working directory), where fsync costs what it costs; or in memory, where it costs nothing.
class Scratch {
 public:
  explicit Scratch(bool durable = true) : dir_(parent(durable) / ("bench-micro-" + new_uuid())) { fs::create_directories(dir_); }
  ~Scratch() { fs::remove_all(dir_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return (dir_ / name).string(); }

 private:
  static fs::path parent(bool durable) {
    if (!durable) return "/dev/shm";
    const char* given = std::getenv("BENCH_DIR");
    return fs::absolute(given != nullptr ? given : ".");
  }

  fs::path dir_;
};

// A benchmark whose subject fails measures nothing; it says so instead.
template <typename T>
bool failed(benchmark::State& state, const Result<T>& result) {
  if (result) return false;
  state.SkipWithError(result.error().chain().c_str());
  return true;
}

ConfigDriveFiles config_files() {
  const SampleRecords all = sample_records(1);
  auto files = instance_metadata({.instance = all.instances[0],
                                  .ports = all.ports,
                                  .networks = {all.network},
                                  .subnets = {all.subnet},
                                  .dhcp_domain = "novalocal",
                                  .random_seed = std::string(512, 'r'),
                                  .admin_pass = {}});
  return files.value_or(ConfigDriveFiles{});
}

void config_drive_documents(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(config_files());
}
BENCHMARK(config_drive_documents)->Unit(benchmark::kMicrosecond);

// Argument: 0 without, 1 with the waits for fsync.
void config_drive_written(benchmark::State& state) {
  const Scratch scratch(state.range(0) == 1);
  const ConfigDriveFiles files = config_files();
  for (auto _ : state) {
    if (failed(state, write_config_drive(scratch.file("disk.config"), files))) return;
  }
}
BENCHMARK(config_drive_written)->ArgName("fsync")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond)->UseRealTime();

// Argument: 0 without, 1 with the waits for fsync.
void overlay_written(benchmark::State& state) {
  const Scratch scratch(state.range(0) == 1);
  { std::ofstream base(scratch.file("base")); }
  fs::resize_file(scratch.file("base"), 1 << 20);
  const auto processes = make_posix_process_runner();
  const auto backend = make_qcow2_backend("/", *processes, "/usr/bin/qemu-img");
  for (auto _ : state) {
    if (failed(state, backend->create({.path = scratch.file("disk"),
                                       .base_path = scratch.file("base"),
                                       .base_format = DiskFormat::kRaw,
                                       .base_virtual_bytes = 1 << 20,
                                       .size_bytes = 1 << 30})))
      return;
    state.PauseTiming();
    fs::remove(scratch.file("disk"));
    state.ResumeTiming();
  }
}
BENCHMARK(overlay_written)->ArgName("fsync")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond)->UseRealTime();

// 256 MiB, every fourth MiB data and the rest holes: as images are.
void write_sparse_image(const std::string& path) {
  constexpr int kMib = 1 << 20;
  std::ofstream file(path, std::ios::binary);
  std::string data(kMib, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 2654435761U >> 13);
  for (int at = 0; at < 256; at += 4) file.seekp(std::int64_t{at} * kMib) << data;
  file.close();
  fs::resize_file(path, 256 * kMib);
}

bool ran(benchmark::State& state, ProcessRunner& runner, std::vector<std::string> argv) {
  const auto result = runner.run({.argv = std::move(argv)});
  if (failed(state, result)) return false;
  if (result->exit_status != 0) state.SkipWithError(result->err.c_str());
  return result->exit_status == 0;
}

// Argument: 0 the raw back end, 1 `cp --sparse=always` and fsync, for the ratio of the two.
void flat_copied(benchmark::State& state) {
  const Scratch scratch;
  const std::string base = scratch.file("base"), disk = scratch.file("disk");
  write_sparse_image(base);
  const auto processes = make_posix_process_runner();
  const auto backend = make_raw_backend("/");
  const DiskSpec spec{.path = disk, .base_path = base, .base_virtual_bytes = 256 << 20, .size_bytes = 256 << 20};
  for (auto _ : state) {
    if (state.range(0) == 0) {
      if (failed(state, backend->create(spec))) return;
    } else if (!ran(state, *processes, {"/bin/cp", "--sparse=always", base, disk}) || failed(state, sync_file(disk))) {
      return;
    }
    state.PauseTiming();
    fs::remove(disk);
    state.ResumeTiming();
  }
}
BENCHMARK(flat_copied)->ArgName("cp")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

// Argument: 0 a fetch into the cache with all its checks but the content's digest, 1 `qemu-img convert` and fsync, for the ratio.
void image_converted(benchmark::State& state) {
  const Scratch scratch;
  const ImageMeta image{.id = new_uuid(), .disk_format = DiskFormat::kQcow2};
  const auto processes = make_posix_process_runner();
  const std::string from = scratch.file(image.id), to = scratch.file("converted"), flat = scratch.file("flat");
  write_sparse_image(flat);
  if (!ran(state, *processes, {"/usr/bin/qemu-img", "convert", "-f", "raw", "-O", "qcow2", flat, from})) return;
  const auto source = make_file_image_source(fs::path(from).parent_path());
  const auto cache = make_image_cache({.base_dir = scratch.file("_base"), .locks_dir = scratch.file("locks")}, *source, *processes);
  for (auto _ : state) {
    if (state.range(0) == 0) {
      if (failed(state, cache->fetch(image))) return;
    } else if (!ran(state, *processes, {"/usr/bin/qemu-img", "convert", "-f", "qcow2", "-O", "raw", from, to}) ||
               failed(state, sync_file(to))) {
      return;
    }
    state.PauseTiming();
    fs::remove(to);
    fs::remove_all(scratch.file("_base"));
    state.ResumeTiming();
  }
}
BENCHMARK(image_converted)->ArgName("qemu-img")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

void domain_xml_made(benchmark::State& state) {
  const SampleRecords all = sample_records(1);
  GuestSpec spec;
  spec.instance = all.instances[0];
  DiskDevice root, drive;
  root.source.path = "/i/disk";
  root.target = "vda";
  drive.kind = DiskDevice::Kind::kCdrom;
  drive.source.path = "/i/disk.config";
  drive.format = DiskFormat::kRaw;
  drive.target = "hda";
  drive.bus = "ide";
  spec.disks = {root, drive};
  spec.nics = {{.port = all.ports[0], .bridge = "br-bench"}};
  spec.console_log = "/i/console.log";
  for (auto _ : state) {
    if (failed(state, domain_xml(spec))) return;
  }
}
BENCHMARK(domain_xml_made)->Unit(benchmark::kMicrosecond);

void envelope_decoded(benchmark::State& state) {
  SchemaSet schemas;
  Message message;
  message.method = "build_and_run_instance";
  message.unique_id = new_message_id();
  message.request_id = new_request_id();
  message.args = {{"instance", to_json(sample_records(1).instances[0])}, {"requested_networks", Json::array()}};
  const std::string body = encode_envelope(message);
  for (auto _ : state) {
    if (failed(state, decode_envelope(body, schemas))) return;
  }
}
BENCHMARK(envelope_decoded)->Unit(benchmark::kMicrosecond);

// Argument: 0 ordered, 1 fsynced.
void record_stored(benchmark::State& state) {
  const Scratch scratch;
  const SystemClock clock;
  auto store = Store::open(scratch.file("agent.db"), clock);
  if (failed(state, store)) return;
  Instance instance = sample_records(1).instances[0];
  const auto durability = state.range(0) == 1 ? Durability::kFsync : Durability::kOrdered;
  for (auto _ : state) {
    ++instance.updated_us;
    if (failed(state, (*store)->write(durability, [&](Tx& tx) { return tx.put(instance); }))) return;
  }
}
BENCHMARK(record_stored)->ArgName("fsync")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond)->UseRealTime();

void records_loaded(benchmark::State& state) {
  const Scratch scratch;
  const SystemClock clock;
  const SampleRecords all = sample_records(static_cast<int>(state.range(0)));
  {
    auto store = Store::open(scratch.file("agent.db"), clock);
    if (failed(state, store)) return;
    if (failed(state, (*store)->write(Durability::kFsync, [&](Tx& tx) -> Result<void> {
          for (const Port& port : all.ports) CA_TRY_VOID(tx.put(port));
          for (const Instance& instance : all.instances) CA_TRY_VOID(tx.put(instance));
          return {};
        })))
      return;
  }
  for (auto _ : state) {
    const auto store = Store::open(scratch.file("agent.db"), clock);
    if (failed(state, store)) return;
  }
}
BENCHMARK(records_loaded)->Arg(500)->Unit(benchmark::kMillisecond)->UseRealTime();

void servers_shown(benchmark::State& state) {
  const SampleRecords all = sample_records(static_cast<int>(state.range(0)));
  ServerViewContext context;
  for (const Port& port : all.ports) context.ports.emplace(port.id, std::make_shared<const Port>(port));
  context.networks.emplace(all.network.id, std::make_shared<const Network>(all.network));
  for (auto _ : state) {
    JsonText out;
    out.begin_array();
    for (const Instance& instance : all.instances) write_server(out, instance, context);
    benchmark::DoNotOptimize(out.end_array().take());
  }
}
BENCHMARK(servers_shown)->Arg(500)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ca::bench

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::off);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
