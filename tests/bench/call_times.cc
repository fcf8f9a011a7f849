// Preloaded into the agent: notes when its calls of libvirt's define and start, and its fsyncs, began and ended. So the agent itself
// needs no code for it. BENCH_CALL_TIMES names the file that gets a line "name begin_ns end_ns" for each (CLOCK_REALTIME, as the
// journal's times); BENCH_DOMAIN_XML one that gets the XML of the last define.

#include <dlfcn.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

long long now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

void append(const char* path, const char* text, std::size_t size, int flags) {
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(fd, text, size);
  ::close(fd);
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// Writes its line when it goes out of scope.
class Call {
 public:
  explicit Call(const char* name) : name_(name), begin_(now_ns()) {}
  ~Call() {
    const long long end = now_ns();
    const char* path = std::getenv("BENCH_CALL_TIMES");
    if (path == nullptr) return;
    char line[128];
    const int size = std::snprintf(line, sizeof line, "%s %lld %lld\n", name_, begin_, end);
    append(path, line, static_cast<std::size_t>(size), O_APPEND);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  const char* name_;
  const long long begin_;
};

}  // namespace

extern "C" {

virDomainPtr virDomainDefineXMLFlags(virConnectPtr conn, const char* xml, unsigned int flags) {
  static const auto real = next<virDomainPtr (*)(virConnectPtr, const char*, unsigned int)>("virDomainDefineXMLFlags");
  if (const char* path = std::getenv("BENCH_DOMAIN_XML")) append(path, xml, std::strlen(xml), O_TRUNC);
  const Call call("define");
  return real(conn, xml, flags);
}

int virDomainCreateWithFlags(virDomainPtr domain, unsigned int flags) {
  static const auto real = next<int (*)(virDomainPtr, unsigned int)>("virDomainCreateWithFlags");
  const Call call("start");
  return real(domain, flags);
}

int fsync(int fd) {
  static const auto real = next<int (*)(int)>("fsync");
  const Call call("fsync");
  return real(fd);
}

int fdatasync(int fd) {
  static const auto real = next<int (*)(int)>("fdatasync");
  const Call call("fsync");
  return real(fd);
}
}
