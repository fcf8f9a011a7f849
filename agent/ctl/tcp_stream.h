#pragma once
// One TCP connection whose every wait ends at a deadline. Satisfies Beast's SyncStream; done with poll(2) because Asio's blocking
// calls cannot be bounded, and its asynchronous ones need a reactor and a timer for what is one request after the other.

#include <sys/uio.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <string>

namespace ca::ctl {

class TcpStream {
 public:
  using Time = std::chrono::steady_clock::time_point;

  TcpStream() = default;
  ~TcpStream() { close(); }
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  // Tries each address of the host. timed_out at the deadline; host_not_found (category "netdb") for an unknown host.
  [[nodiscard]] boost::system::error_code connect(const std::string& host, const std::string& port);
  void close();
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  // False once the other side has closed or something came that nobody asked for.
  [[nodiscard]] bool is_idle() const;
  void set_deadline(Time deadline) { deadline_ = deadline; }

  template <typename Buffers>
  std::size_t read_some(const Buffers& buffers, boost::system::error_code& error) {
    const boost::asio::mutable_buffer first = first_of(buffers);
    return read(first.data(), first.size(), error);
  }
  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers, boost::system::error_code& error) {
    // All in one go: a request's header comes as many small buffers.
    std::array<iovec, 32> pieces;
    std::size_t count = 0;
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end && count < pieces.size(); ++at) {
      const boost::asio::const_buffer buffer(*at);
      if (buffer.size() > 0) pieces[count++] = {const_cast<void*>(buffer.data()), buffer.size()};
    }
    return write(pieces.data(), count, error);
  }
  template <typename Buffers>
  std::size_t read_some(const Buffers& buffers) {
    boost::system::error_code error;
    const std::size_t size = read_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return size;
  }
  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers) {
    boost::system::error_code error;
    const std::size_t size = write_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return size;
  }

 private:
  template <typename Buffers>
  static boost::asio::mutable_buffer first_of(const Buffers& buffers) {
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end; ++at) {
      const boost::asio::mutable_buffer buffer(*at);
      if (buffer.size() > 0) return buffer;
    }
    return {};
  }
  std::size_t read(void* data, std::size_t size, boost::system::error_code& error);
  std::size_t write(iovec* pieces, std::size_t count, boost::system::error_code& error);
  [[nodiscard]] boost::system::error_code wait(short events) const;

  int fd_ = -1;
  Time deadline_ = Time::max();
};

}  // namespace ca::ctl
