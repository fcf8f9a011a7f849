#pragma once
// A small HTTP server on 127.0.0.1 with canned answers, and computectl run against it in the same process.

#include <boost/asio/ip/tcp.hpp>
#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/ctl/output.h"

namespace ca::ctl {

struct FakeRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // lower-case names
  std::string body;

  [[nodiscard]] Json json() const { return Json::parse(body, nullptr, false); }
};

struct FakeReply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  bool hang = false;         // never answers
  bool before_body = false;  // answers and closes when only the head of the request has been read
};

[[nodiscard]] FakeReply json_reply(const Json& body, int status = 200);

class FakeAgent {
 public:
  FakeAgent();
  ~FakeAgent();
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;

  // Answers `method` with `target` (query included). Several replies are given one after the other, the last for ever.
  void on(const std::string& method, const std::string& target, FakeReply reply);
  void on(const std::string& method, const std::string& target, const Json& body, int status = 200);
  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::vector<FakeRequest> requests() const;
  // The requests as "GET /compute/..." lines.
  [[nodiscard]] std::vector<std::string> lines() const;
  [[nodiscard]] FakeRequest last(const std::string& method) const;
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void accept_all();
  void serve(boost::asio::ip::tcp::socket socket);
  [[nodiscard]] FakeReply reply_for(const FakeRequest& request);

  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<FakeReply>> replies_;
  std::vector<FakeRequest> requests_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
};

struct RunOptions {
  std::string url;
  bool terminal = false;
  int columns = 0;
  int stdin_fd = -1;
  std::map<std::string, std::string> environment;
  std::vector<long> slept_ms;  // filled in
};

// computectl WORDS with token "secret".
[[nodiscard]] Outcome run(const std::vector<std::string>& words, RunOptions& options);
[[nodiscard]] Outcome run(const FakeAgent& agent, const std::vector<std::string>& words);

// A file that goes away with the object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace ca::ctl
