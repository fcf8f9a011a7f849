#include "agent/api/server.h"

// Without it cpprestsdk defines a macro U, which collides with fmt.
#define _TURN_OFF_PLATFORM_STRING
#include <cpprest/containerstream.h>
#include <cpprest/filestream.h>
#include <cpprest/http_listener.h>
#include <cpprest/rawptrstream.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/crypto.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "agent/api/image/upload.h"
#include "agent/core/ids.h"

namespace ca {

namespace http = web::http;
namespace listener = web::http::experimental::listener;

namespace {

constexpr std::size_t kUploadChunk = 1 << 20;
constexpr std::chrono::seconds kUploadStall{60};
constexpr std::size_t kLongestPath = 4096;

std::string service_of(const std::vector<std::string>& path) { return path.empty() ? "" : path.front(); }

bool same_token(const std::string& a, const std::string& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// A client that went away is no concern of ours.
void reply(const http::http_request& request, const http::http_response& response) {
  request.reply(response).then([](const pplx::task<void>& sent) {
    try {
      sent.get();
    } catch (const std::exception& e) {
      spdlog::debug("a reply could not be sent: {}", e.what());
    }
  });
}

// Read and sent a piece at a time.
void send_file(const http::http_request& request, http::http_response response, const std::string& path) {
  concurrency::streams::fstream::open_istream(path).then(
      [request, response](const pplx::task<concurrency::streams::istream>& opened) mutable {
        try {
          auto stream = opened.get();
          stream.seek(0, std::ios_base::end);
          const auto size = static_cast<std::size_t>(static_cast<std::streamoff>(stream.tell()));
          stream.seek(0);
          response.set_body(stream, size, "application/octet-stream");
        } catch (const std::exception& e) {
          spdlog::error("the data of an image cannot be read: {}", e.what());
          response.set_status_code(http::status_codes::InternalError);
        }
        reply(request, response);
      });
}

void send(const http::http_request& request, const std::string& request_id, const std::string& service, Result<ApiResponse> outcome) {
  ApiResponse answer = outcome ? *std::move(outcome) : error_response(service, outcome.error());
  if (answer.status >= 500 && !outcome) {
    spdlog::error("{} {} {} failed: {}; {}", request_id, request.method(), request.relative_uri().path(), outcome.error().chain(),
                  outcome.error().action());
  }
  http::http_response response(static_cast<http::status_code>(answer.status));
  response.headers().add("X-Openstack-Request-Id", request_id);
  if (service == "compute") {
    response.headers().add("X-Compute-Request-Id", request_id);
    response.headers().add("OpenStack-API-Version", "compute 2.90");
    response.headers().add("X-OpenStack-Nova-API-Version", "2.90");
    response.headers().add("Vary", "OpenStack-API-Version, X-OpenStack-Nova-API-Version");
  }
  for (const auto& [name, value] : answer.headers) response.headers().add(name, value);
  if (!answer.file.empty()) {
    send_file(request, response, answer.file);
    return;
  }
  if (!answer.text.empty()) {
    response.set_body(std::move(answer.text), answer.content_type);
  } else if (answer.body) {
    response.set_body(answer.body->dump(-1, ' ', false, Json::error_handler_t::replace), "application/json");
  }
  reply(request, response);
}

std::map<std::string, std::string> decode_query(const http::http_request& request) {
  std::map<std::string, std::string> query;
  for (const auto& [name, value] : web::uri::split_query(request.request_uri().query())) {
    std::string plain = value;
    std::ranges::replace(plain, '+', ' ');
    query[web::uri::decode(name)] = web::uri::decode(plain);
  }
  return query;
}

}  // namespace

struct ApiServer::Impl {
  Impl(const Router& r, ApiServices& s, std::string t) : router(r), services(s), token(std::move(t)) {}

  const Router& router;
  ApiServices& services;
  const std::string token;
  std::unique_ptr<listener::http_listener> http;

  void handle(const http::http_request& request) {
    ApiRequest api;
    api.request_id = new_request_id();
    try {
      dispatch(request, api);
    } catch (const std::exception& e) {  // broken percent-encoding and the like
      send(request, api.request_id, service_of(api.path), fail(Code::kInvalid, fmt::format("the request can't be read: {}", e.what())));
    }
  }

  void dispatch(const http::http_request& request, ApiRequest& api) {
    api.method = request.method();
    const std::string path = request.request_uri().path();
    if (path.size() > kLongestPath) {
      send(request, api.request_id, "", fail(Code::kTooLarge, "the path is too long"));
      return;
    }
    for (const std::string& part : split_path(path)) api.path.push_back(web::uri::decode(part));
    const std::string service = service_of(api.path);
    std::string given;
    request.headers().match("X-Auth-Token", given);
    if (!same_token(given, token)) {
      send(request, api.request_id, service, fail(Code::kUnauthorized, "The request you have made requires authentication."));
      return;
    }
    api.query = decode_query(request);
    Router::Match match = router.find(api.method, api.path);
    if (match.handler == nullptr && !match.upload) {
      refuse_route(request, api, match, service);
      return;
    }
    api.params = std::move(match.params);
    if (match.upload) {
      upload(request, api);
    } else {
      read_and_call(request, api, *match.handler, service);
    }
  }

  static void refuse_route(const http::http_request& request, const ApiRequest& api, const Router::Match& match,
                           const std::string& service) {
    const std::string path = request.request_uri().path();
    if (match.allowed.empty()) {
      send(request, api.request_id, service, fail(Code::kNotFound, fmt::format("{} {}: there is no such resource", api.method, path)));
      return;
    }
    const std::string allowed = fmt::format("{}", fmt::join(match.allowed, ", "));
    ApiResponse answer = error_response(
        service, fail(Code::kInvalid, fmt::format("{} is not allowed on {}", api.method, path), "use one of " + allowed).value(), 405);
    answer.headers["Allow"] = allowed;
    send(request, api.request_id, service, answer);
  }

  void read_and_call(const http::http_request& request, const ApiRequest& api, const AsyncHandler& handler, const std::string& service) {
    // A message for the bus may be larger than a body of the API; both are bounded.
    const auto limit = static_cast<std::size_t>(std::max<std::int64_t>(services.verbs.config.max_body_bytes, 1 << 20));
    if (request.headers().content_length() > limit) {
      send(request, api.request_id, service,
           fail(Code::kTooLarge, fmt::format("a body of {} bytes; at most {} are taken", request.headers().content_length(), limit)));
      return;
    }
    concurrency::streams::container_buffer<std::string> buffer;
    request.body()
        .read(buffer, limit + 1)
        .then([this, request, api = ApiRequest(api), buffer, &handler, service, limit](const pplx::task<std::size_t>& read) mutable {
          try {
            const std::size_t size = read.get();
            if (size > limit) {
              send(request, api.request_id, service, fail(Code::kTooLarge, fmt::format("a body of more than {} bytes", limit)));
              return;
            }
            api.raw_body = buffer.collection().substr(0, size);  // the buffer is as large as what was asked for
            handler(api, [request, id = api.request_id, service](Result<ApiResponse> outcome) {
              send(request, id, service, std::move(outcome));
            });
          } catch (const std::exception& e) {
            send(request, api.request_id, service,
                 fail(Code::kInternal, fmt::format("{} {} failed: {}", api.method, request.request_uri().path(), e.what())));
          }
        });
  }

  // Streams the body into the image store on a worker; memory stays at one chunk.
  void upload(const http::http_request& request, const ApiRequest& api) {
    services.workers.submit([this, request, api](TaskLease& lease) {
      const Uuid id = api.param("id");
      // One that was refused from the start must leave alone the one that is under way.
      const auto begun = std::make_shared<std::atomic<bool>>(false);
      const auto stalled = [this, request, api, id, begun] {
        if (*begun) abandon_upload(services, id);
        send(request, api.request_id, "image", fail(Code::kTimeout, "the upload stalled"));
      };
      lease.rearm(kUploadStall, stalled);
      auto outcome = receive(request, lease, stalled, id, *begun);
      if (!lease.rearm(kUploadStall, [] {})) return;
      if (!outcome) {
        if (*begun) abandon_upload(services, id);
        send(request, api.request_id, "image", tl::unexpected<Error>(std::move(outcome).error()));
        return;
      }
      ApiResponse done;
      done.status = 204;
      send(request, api.request_id, "image", done);
    });
  }

  Result<void> receive(const http::http_request& request, TaskLease& lease, const std::function<void()>& stalled, const Uuid& id,
                       std::atomic<bool>& begun) {
    const auto announced = request.headers().content_length();
    CA_TRY(const auto upload, begin_upload(services, id, static_cast<std::int64_t>(announced)));
    begun = true;
    std::vector<std::uint8_t> chunk(kUploadChunk);
    std::uint64_t total = 0;
    try {
      while (true) {
        concurrency::streams::rawptr_buffer<std::uint8_t> target(chunk.data(), chunk.size());
        const std::size_t got = request.body().read(target, chunk.size()).get();
        if (got == 0) break;
        total += got;
        if (!lease.rearm(kUploadStall, stalled)) return fail(Code::kTimeout, "the upload stalled");
        CA_TRY_VOID(upload->append(std::as_bytes(std::span(chunk.data(), got))));
      }
    } catch (const std::exception& e) {
      return fail(Code::kCancelled, fmt::format("the upload broke off after {} bytes: {}", total, e.what()), "send it again");
    }
    if (announced > 0 && total != announced) {
      return fail(Code::kInvalid, fmt::format("the upload broke off: {} of {} bytes came", total, announced), "send it again");
    }
    // Hashes are done; the inspection and the fsync may take their time.
    if (!lease.rearm(std::chrono::seconds(600), stalled)) return fail(Code::kTimeout, "the upload stalled");
    return finish_upload(services, id, *upload);
  }
};

ApiServer::ApiServer(const Router& router, ApiServices& services, std::string token)
    : impl_(std::make_unique<Impl>(router, services, std::move(token))) {}

ApiServer::~ApiServer() { close(); }

Result<void> ApiServer::open(const std::string& address, std::int64_t port) {
  const std::string host = address.find(':') == std::string::npos ? address : "[" + address + "]";
  try {
    listener::http_listener_config config;
    config.set_timeout(std::chrono::seconds(120));
    impl_->http = std::make_unique<listener::http_listener>(web::uri(fmt::format("http://{}:{}/", host, port)), config);
    impl_->http->support([impl = impl_.get()](const http::http_request& request) { impl->handle(request); });
    impl_->http->open().wait();
  } catch (const std::exception& e) {
    impl_->http.reset();
    return fail(Code::kConflict, fmt::format("cannot listen on {}:{}: {}", address, port, e.what()),
                "end the program that holds the port (ss -ltnp), or set [api] port to another");
  }
  return {};
}

void ApiServer::close() {
  if (!impl_->http) return;
  try {
    impl_->http->close().wait();
  } catch (const std::exception& e) {
    spdlog::warn("closing the listener: {}", e.what());
  }
  impl_->http.reset();
}

}  // namespace ca
