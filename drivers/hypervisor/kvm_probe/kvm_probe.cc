#include "drivers/hypervisor/kvm_probe/kvm_probe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

extern "C" const char kvm_probe_guest_begin[], kvm_probe_guest_end[];

namespace ca {
namespace {

// isa-debug-exit ends QEMU with (value << 1) | 1; the values are guest.S'.
constexpr int kPassed = (0x2a << 1) | 1;
constexpr int kWrongResult = (0x10 << 1) | 1;
constexpr int kTooSlow = (0x20 << 1) | 1;
constexpr int kUnexpectedTrap = (0x30 << 1) | 1;
constexpr int kNoLongMode = (0x40 << 1) | 1;

class WorkDir {
 public:
  static Result<WorkDir> make(const std::string& parent) {
    std::string name = parent + "/kvm-probe.XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) return fail_errno(errno, "cannot make a directory in " + parent);
    return WorkDir(std::move(name));
  }
  WorkDir(WorkDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  WorkDir& operator=(WorkDir&&) = delete;
  ~WorkDir() {
    if (path_.empty()) return;
    ::unlink(bios().c_str());
    ::unlink(log().c_str());
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] std::string bios() const { return path_ + "/bios"; }
  [[nodiscard]] std::string log() const { return path_ + "/stages"; }

 private:
  explicit WorkDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// A 64 KiB firmware: the guest at its start, seen at f000:0000, and a far jump there at the reset vector.
Result<void> write_firmware(const std::string& path) {
  std::array<char, 65536> image{};
  std::copy(kvm_probe_guest_begin, kvm_probe_guest_end, image.begin());
  constexpr std::string_view jump("\xea\x00\x00\x00\xf0", 5);
  std::copy(jump.begin(), jump.end(), image.begin() + 0xfff0);
  std::ofstream file(path, std::ios::binary);
  file.write(image.data(), image.size());
  file.close();
  if (!file) return fail_errno(errno == 0 ? EIO : errno, "cannot write " + path);
  return {};
}

std::string stage_reached(const std::string& log_path) {
  std::ifstream file(log_path, std::ios::binary);
  char last = 0;
  for (char c = 0; file.get(c);) last = c;
  switch (last) {
    case 'r': return "in real mode";
    case 'p': return "in protected mode";
    case 'l':
    case 'c': return "in long mode";
    case 'i': return "at a software interrupt or an undefined instruction";
    case 'f': return "at a page fault";
    case 's': return "at SSE and bit instructions";
    case 'u': return "on the way to ring 3 and back";
    case 't': return "waiting for a timer interrupt";
    case 'k': return "at its end";
    default: return "before its first instruction";
  }
}

std::string first_error_line(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    if (!line.empty() && line.find("warning:") == std::string::npos) return line.substr(0, 300);
  }
  return {};
}

KvmProbe verdict_of(const ProcessResult& run, const std::string& stage) {
  switch (run.exit_status) {
    case kPassed: return {.usable = true, .reason = "a probe guest ran under KVM", .lasting = true};
    case kTooSlow:
      return {
          .usable = false, .reason = "KVM emulates guest kernels instruction by instruction, thousands of times too slow", .lasting = true};
    case kWrongResult: return {.usable = false, .reason = "the probe guest got a wrong result " + stage, .lasting = true};
    case kUnexpectedTrap: return {.usable = false, .reason = "the probe guest was trapped " + stage, .lasting = true};
    case kNoLongMode: return {.usable = false, .reason = "KVM offers no 64-bit mode", .lasting = true};
    case 0: return {.usable = false, .reason = "the probe guest was reset " + stage, .lasting = true};
    default: break;
  }
  const std::string said = first_error_line(run.err);
  return {.usable = false,
          .reason = "QEMU ended with status " + std::to_string(run.exit_status) + " " + stage + (said.empty() ? "" : ": " + said),
          .lasting = false};
}

Result<void> check_device(const std::string& device) {
  const int fd = ::open(device.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fail_errno(errno, "cannot open " + device);
  ::close(fd);
  return {};
}

}  // namespace

Result<KvmProbe> probe_kvm(ProcessRunner& runner, const KvmProbeOptions& options) {
  if (options.accel == "kvm") {
    if (auto device = check_device(options.device); !device) {
      return KvmProbe{.usable = false, .reason = device.error().message, .lasting = false};
    }
  }
  CA_TRY(const WorkDir dir, WorkDir::make(options.work_dir));
  CA_TRY_VOID(write_firmware(dir.bios()));

  ProcessSpec spec;
  spec.argv = {options.qemu, "-accel",      options.accel,     "-machine",          "pc",      "-m",
               "16",         "-nodefaults", "-no-user-config", "-display",          "none",    "-no-reboot",
               "-bios",      dir.bios(),    "-debugcon",       "file:" + dir.log(), "-device", "isa-debug-exit,iobase=0xf4,iosize=1"};
  spec.wall_limit = options.wall_limit;
  spec.cpu_seconds = 30;
  spec.memory_bytes = std::int64_t{8} << 30;  // address space, of which QEMU maps much and uses little
  spec.output_bytes = 64 << 10;
  auto run = runner.run(spec);
  const std::string stage = stage_reached(dir.log());
  if (run) return verdict_of(*run, stage);
  switch (run.error().code) {
    case Code::kTimeout:
      return KvmProbe{.usable = false,
                      .reason = "the probe guest did not end within " + std::to_string(options.wall_limit.count()) + " ms, stuck " + stage,
                      .lasting = false};
    case Code::kExternal:
    case Code::kTooLarge: return KvmProbe{.usable = false, .reason = "QEMU failed " + stage + ": " + run.error().chain(), .lasting = false};
    default:
      return wrap(std::move(run).error(), "cannot probe KVM with " + options.qemu, "install qemu-system-x86, or set virt_type = qemu");
  }
}

std::string probe_cache_key(const KvmProbeOptions& options) {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot_id;
  struct stat st {};
  if (!std::getline(file, boot_id) || boot_id.empty() || ::stat(options.qemu.c_str(), &st) != 0) return {};
  return "1:" + boot_id + ":" + options.qemu + ":" + std::to_string(st.st_size) + ":" + std::to_string(st.st_mtim.tv_sec) + "." +
         std::to_string(st.st_mtim.tv_nsec);
}

}  // namespace ca
