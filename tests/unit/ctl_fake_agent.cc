#include "tests/unit/ctl_fake_agent.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "agent/ctl/app.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

namespace http = boost::beast::http;
using boost::asio::ip::tcp;

}  // namespace

FakeReply json_reply(const Json& body, int status) { return {.status = status, .body = body.dump()}; }

FakeAgent::FakeAgent()
    : acceptor_(context_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)), thread_([this] { accept_all(); }) {}

FakeAgent::~FakeAgent() {
  stop_ = true;
  boost::system::error_code ignored;
  tcp::socket wake(context_);
  wake.connect(acceptor_.local_endpoint(), ignored);
  thread_.join();
}

void FakeAgent::on(const std::string& method, const std::string& target, FakeReply reply) {
  const std::lock_guard lock(mutex_);
  replies_[method + " " + target].push_back(std::move(reply));
}

void FakeAgent::on(const std::string& method, const std::string& target, const Json& body, int status) {
  on(method, target, json_reply(body, status));
}

std::string FakeAgent::url() const { return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }

std::vector<FakeRequest> FakeAgent::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<std::string> FakeAgent::lines() const {
  std::vector<std::string> lines;
  for (const FakeRequest& request : requests()) lines.push_back(request.method + " " + request.target);
  return lines;
}

FakeRequest FakeAgent::last(const std::string& method) const {
  FakeRequest found;
  for (const FakeRequest& request : requests()) {
    if (request.method == method) found = request;
  }
  return found;
}

FakeReply FakeAgent::reply_for(const FakeRequest& request) {
  const std::lock_guard lock(mutex_);
  const auto found = replies_.find(request.method + " " + request.target);
  if (found == replies_.end()) {
    return json_reply({{"itemNotFound", {{"code", 404}, {"message", "nothing at " + request.method + " " + request.target}}}}, 404);
  }
  FakeReply reply = found->second.front();
  if (found->second.size() > 1) found->second.erase(found->second.begin());
  return reply;
}

void FakeAgent::accept_all() {
  while (!stop_) {
    boost::system::error_code failed;
    tcp::socket socket(context_);
    acceptor_.accept(socket, failed);
    if (failed || stop_) continue;
    ++connections_;
    serve(std::move(socket));
  }
}

void FakeAgent::serve(tcp::socket socket) {
  boost::beast::flat_buffer buffer;
  boost::system::error_code failed;
  while (!stop_ && !failed) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());
    http::read_header(socket, buffer, parser, failed);
    if (failed) return;
    FakeRequest request{.method = std::string(parser.get().method_string()), .target = std::string(parser.get().target())};
    for (const auto& field : parser.get()) request.headers[lower(std::string(field.name_string()))] = std::string(field.value());
    const FakeReply reply = reply_for(request);
    if (!reply.before_body) http::read(socket, buffer, parser, failed);
    request.body = parser.get().body();
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (reply.hang) {
      char byte = 0;
      socket.read_some(boost::asio::buffer(&byte, 1), failed);  // until the other side gives up
      return;
    }
    http::response<http::string_body> response{static_cast<http::status>(reply.status), 11};
    response.set(http::field::content_type, reply.content_type);
    response.set("x-openstack-request-id", "req-1");
    response.keep_alive(!reply.before_body);
    response.body() = reply.body;
    response.prepare_payload();
    http::write(socket, response, failed);
    if (reply.before_body) return;
  }
}

Outcome run(const std::vector<std::string>& words, RunOptions& options) {
  std::ostringstream out;
  std::ostringstream err;
  const Surroundings surroundings{.out = out,
                                  .err = err,
                                  .out_is_terminal = options.terminal,
                                  .err_is_terminal = options.terminal,
                                  .terminal_columns = options.columns,
                                  .stdin_fd = options.stdin_fd,
                                  .environment = [&](const std::string& name) -> std::optional<std::string> {
                                    if (const auto found = options.environment.find(name); found != options.environment.end())
                                      return found->second;
                                    if (name == "COMPUTECTL_ENDPOINT" && !options.url.empty()) return options.url;
                                    if (name == "OS_TOKEN") return "secret";
                                    return std::nullopt;
                                  },
                                  .sleep = [&](Millis time) { options.slept_ms.push_back(time.count()); }};
  Outcome outcome;
  outcome.status = run_app(words, surroundings);
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

Outcome run(const FakeAgent& agent, const std::vector<std::string>& words) {
  RunOptions options{.url = agent.url()};
  return run(words, options);
}

TemporaryFile::TemporaryFile(const std::string& content) {
  std::string name = "/tmp/ctl-test-XXXXXX";
  const int fd = ::mkstemp(name.data());
  if (fd < 0 || ::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
    throw std::runtime_error("cannot write " + name);
  ::close(fd);
  path_ = name;
}

TemporaryFile::~TemporaryFile() { ::unlink(path_.c_str()); }

}  // namespace ca::ctl
