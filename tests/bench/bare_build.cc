// The floor: what a build costs when nothing but the needed calls is made. Overlay, define and start of domains with the agent's own
// XML, one thread and one connection each, all begun at the same moment. Times are taken from there to the last domain's start;
// connecting and clearing up lie outside.
//
//   bench-bare build  XML INSTANCES_DIR BASE_IMAGE DISK_BYTES CONFIG_DRIVE direct|qemu-img COUNT
//   bench-bare define XML < "uuid name" lines     leaves the domains defined

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <spawn.h>
#include <sys/wait.h>

#include <barrier>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "agent/core/ids.h"
#include "drivers/disk/qcow2/overlay_layout.h"
#include "tests/bench/domain_template.h"

extern char** environ;

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Order {
  std::string xml_file, instances_dir, base, size, config_drive, overlay;
  int count = 1;
};

struct Times {
  double overlay_ms = 0, define_ms = 0, start_ms = 0, all_ms = 0;
};

double ms_since(Clock::time_point begin) { return std::chrono::duration<double, std::milli>(Clock::now() - begin).count(); }

[[noreturn]] void libvirt_failed(const std::string& what) {
  const virErrorPtr last = virGetLastError();
  throw std::runtime_error(what + ": " + (last != nullptr ? last->message : "no reason given"));
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error("cannot read " + path);
  return text.str();
}

void write_overlay(const Order& order, const std::string& path) {
  const auto layout =
      ca::overlay_layout({.backing_file = order.base, .backing_format = ca::DiskFormat::kRaw, .size_bytes = std::stoll(order.size)});
  if (!layout) throw std::runtime_error(layout.error().chain());
  std::ofstream file(path, std::ios::binary);
  for (const auto& piece : layout->pieces) {
    file.seekp(piece.offset);
    file.write(reinterpret_cast<const char*>(piece.bytes.data()), static_cast<std::streamsize>(piece.bytes.size()));
  }
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
  fs::resize_file(path, static_cast<std::uintmax_t>(layout->file_size));
}

void run_qemu_img(const Order& order, const std::string& path) {
  std::vector<std::string> words{"qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", order.base, path, order.size};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  int status = 0;
  if (::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) != 0 || ::waitpid(pid, &status, 0) != pid || status != 0) {
    throw std::runtime_error("qemu-img create failed for " + path);
  }
}

class BareInstance {
 public:
  BareInstance(const Order& order, int number)
      : order_(order),
        uuid_(ca::new_uuid()),
        dir_(order.instances_dir + "/" + uuid_),
        xml_(ca::bench::DomainTemplate(read_file(order.xml_file)).for_domain(uuid_, "bare-" + std::to_string(number))),
        conn_(virConnectOpen("qemu:///system")) {
    if (conn_ == nullptr) libvirt_failed("cannot connect");
    fs::create_directories(dir_);
    if (!order.config_drive.empty()) fs::copy_file(order.config_drive, dir_ + "/disk.config");
  }

  ~BareInstance() {
    if (domain_ != nullptr) {
      virDomainDestroy(domain_);
      virDomainUndefine(domain_);
      virDomainFree(domain_);
    }
    virConnectClose(conn_);
    fs::remove_all(dir_);
  }
  BareInstance(const BareInstance&) = delete;
  BareInstance& operator=(const BareInstance&) = delete;

  Times build() {
    Times times;
    const auto begin = Clock::now();
    if (order_.overlay == "direct")
      write_overlay(order_, dir_ + "/disk");
    else
      run_qemu_img(order_, dir_ + "/disk");
    times.overlay_ms = ms_since(begin);
    const auto defining = Clock::now();
    domain_ = virDomainDefineXML(conn_, xml_.c_str());
    if (domain_ == nullptr) libvirt_failed("cannot define");
    times.define_ms = ms_since(defining);
    const auto starting = Clock::now();
    if (virDomainCreate(domain_) != 0) libvirt_failed("cannot start");
    times.start_ms = ms_since(starting);
    times.all_ms = ms_since(begin);
    return times;
  }

 private:
  const Order& order_;
  const std::string uuid_;
  const std::string dir_;
  const std::string xml_;
  virConnectPtr conn_;
  virDomainPtr domain_ = nullptr;
};

void build_all(const Order& order) {
  std::vector<std::unique_ptr<BareInstance>> instances;
  for (int i = 0; i < order.count; ++i) instances.push_back(std::make_unique<BareInstance>(order, i));
  std::vector<Times> times(instances.size());
  std::vector<std::exception_ptr> failures(instances.size());
  Clock::time_point begin;
  std::barrier together(order.count, [&begin]() noexcept { begin = Clock::now(); });
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < instances.size(); ++i) {
      threads.emplace_back([&, i] {
        together.arrive_and_wait();
        try {
          times[i] = instances[i]->build();
        } catch (...) {
          failures[i] = std::current_exception();
        }
      });
    }
  }
  const double wall = ms_since(begin);
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  nlohmann::json each = nlohmann::json::array();
  for (const Times& t : times)
    each.push_back({{"overlay_ms", t.overlay_ms}, {"define_ms", t.define_ms}, {"start_ms", t.start_ms}, {"all_ms", t.all_ms}});
  std::cout << nlohmann::json{{"wall_ms", wall}, {"each", each}} << std::endl;
}

void define_all(const std::string& xml_file) {
  const ca::bench::DomainTemplate xml(read_file(xml_file));
  const virConnectPtr conn = virConnectOpen("qemu:///system");
  if (conn == nullptr) libvirt_failed("cannot connect");
  std::string uuid, name;
  while (std::cin >> uuid >> name) {
    const virDomainPtr domain = virDomainDefineXML(conn, xml.for_domain(uuid, name).c_str());
    if (domain == nullptr) libvirt_failed("cannot define " + name);
    virDomainFree(domain);
  }
  virConnectClose(conn);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
    if (words.size() == 2 && words[0] == "define") {
      define_all(words[1]);
    } else if (words.size() == 8 && words[0] == "build") {
      build_all({words[1], words[2], words[3], words[4], words[5], words[6], std::stoi(words[7])});
    } else {
      std::cerr << "usage: bench-bare build XML INSTANCES_DIR BASE_IMAGE DISK_BYTES CONFIG_DRIVE direct|qemu-img COUNT\n"
                   "       bench-bare define XML\n";
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << "bench-bare: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
