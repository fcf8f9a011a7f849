#include "drivers/disk/rbd/wire.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace ca::rbd {

Json to_json(const RbdOptions& o) {
  return {{"version", COMPUTE_AGENT_VERSION},
          {"pool", o.pool},
          {"ceph_conf", o.ceph_conf},
          {"user", o.user},
          {"secret_uuid", o.secret_uuid},
          {"store_pool", o.store_pool},
          {"store_user", o.store_user},
          {"store_ceph_conf", o.store_ceph_conf},
          {"connect_timeout", o.connect_timeout.count()},
          {"destroy_retries", o.destroy_retries},
          {"destroy_interval", o.destroy_interval.count()}};
}

RbdOptions options_from(const Json& json) {
  return {.pool = json.at("pool"),
          .ceph_conf = json.at("ceph_conf"),
          .user = json.at("user"),
          .secret_uuid = json.at("secret_uuid"),
          .store_pool = json.at("store_pool"),
          .store_user = json.at("store_user"),
          .store_ceph_conf = json.at("store_ceph_conf"),
          .connect_timeout = std::chrono::seconds(json.at("connect_timeout").get<int>()),
          .destroy_retries = json.at("destroy_retries"),
          .destroy_interval = std::chrono::seconds(json.at("destroy_interval").get<int>())};
}

Json to_json(const Error& error) {
  return {{"code", static_cast<int>(error.code)}, {"causes", error.causes()}, {"next_action", error.action()}};
}

Error error_from(const Json& json) {
  const auto code = static_cast<Code>(json.at("code").get<int>());
  const auto causes = json.at("causes").get<std::vector<std::string>>();
  Error error{.code = code, .message = "Ceph did not say why", .step = {}, .next_action = {}, .cause = nullptr};
  for (std::size_t i = causes.size(); i > 0; --i) {
    auto inner = i == causes.size() ? nullptr : std::make_shared<const Error>(std::move(error));
    error = Error{.code = code, .message = causes[i - 1], .step = {}, .next_action = {}, .cause = std::move(inner)};
  }
  error.next_action = json.at("next_action");
  return error;
}

bool LineReader::next(std::string& line) {
  std::size_t searched = 0;
  while (true) {
    const auto end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return true;
    }
    if (buffer_.size() > kMostLine) return false;
    searched = buffer_.size();
    std::array<char, 16384> chunk{};
    const ssize_t n = ::read(fd_, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    buffer_.append(chunk.data(), static_cast<std::size_t>(n));
  }
}

bool write_line(int fd, const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t n = ::send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace ca::rbd
