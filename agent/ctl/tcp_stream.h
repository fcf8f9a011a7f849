#pragma once
// One TCP connection whose every wait ends at a deadline. Satisfies Beast's SyncStream; done with poll(2) because Asio's blocking
// calls cannot be bounded, and its asynchronous ones need a reactor and a timer for what is one request after the other.

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
    const boost::asio::mutable_buffer first = first_of<boost::asio::mutable_buffer>(buffers);
    return read(first.data(), first.size(), error);
  }
  template <typename Buffers>
  std::size_t write_some(const Buffers& buffers, boost::system::error_code& error) {
    const boost::asio::const_buffer first = first_of<boost::asio::const_buffer>(buffers);
    return write(first.data(), first.size(), error);
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
  template <typename Buffer, typename Buffers>
  static Buffer first_of(const Buffers& buffers) {
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end; ++at) {
      const Buffer buffer(*at);
      if (buffer.size() > 0) return buffer;
    }
    return {};
  }
  std::size_t read(void* data, std::size_t size, boost::system::error_code& error);
  std::size_t write(const void* data, std::size_t size, boost::system::error_code& error);
  [[nodiscard]] boost::system::error_code wait(short events) const;

  int fd_ = -1;
  Time deadline_ = Time::max();
};

}  // namespace ca::ctl
