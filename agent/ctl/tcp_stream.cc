#include "agent/ctl/tcp_stream.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <memory>
#include <utility>

namespace ca::ctl {
namespace {

using boost::system::error_code;

error_code from_errno(int number) { return {number, boost::system::system_category()}; }

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

}  // namespace

error_code TcpStream::connect(const std::string& host, const std::string& port) {
  close();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &raw) != 0) return boost::asio::error::host_not_found;
  const std::unique_ptr<addrinfo, FreeAddresses> list(raw);
  error_code last = boost::asio::error::host_not_found;
  for (const addrinfo* address = list.get(); address != nullptr; address = address->ai_next) {
    close();
    fd_ = ::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) {
      last = from_errno(errno);
      continue;
    }
    if (::connect(fd_, address->ai_addr, address->ai_addrlen) != 0) {
      last = from_errno(errno);
      if (last.value() == EINPROGRESS) last = wait(POLLOUT);
      int outcome = 0;
      socklen_t size = sizeof outcome;
      if (!last && ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &outcome, &size) == 0) last = from_errno(outcome);
      if (last) continue;
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return {};
  }
  close();
  return last;
}

void TcpStream::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool TcpStream::is_idle() const {
  char byte = 0;
  return fd_ >= 0 && ::recv(fd_, &byte, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EINTR);
}

error_code TcpStream::wait(short events) const {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
    if (left.count() <= 0) return boost::asio::error::timed_out;
    pollfd one{fd_, events, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::min<long>(left.count(), 3600000)));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return from_errno(errno);
  }
}

std::size_t TcpStream::read(void* data, std::size_t size, error_code& error) {
  error = {};
  if (size == 0) return 0;
  while (true) {
    const ssize_t got = ::recv(fd_, data, size, 0);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) {
      error = boost::asio::error::eof;
      return 0;
    }
    error = errno == EAGAIN ? wait(POLLIN) : errno == EINTR ? error_code() : from_errno(errno);
    if (error) return 0;
  }
}

std::size_t TcpStream::write(iovec* pieces, std::size_t count, error_code& error) {
  error = {};
  if (count == 0) return 0;
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  while (true) {
    const ssize_t put = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (put >= 0) return static_cast<std::size_t>(put);
    error = errno == EAGAIN ? wait(POLLOUT) : errno == EINTR ? error_code() : from_errno(errno);
    if (error) return 0;
  }
}

}  // namespace ca::ctl
