// Image data to and from the agent, a piece at a time.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>

#include "agent/core/ids.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/image_internal.h"
#include "agent/ctl/progress.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"
#include "agent/ctl/wait.h"

namespace ca::ctl {
namespace {

constexpr std::size_t kChunk = 1U << 20U;

class FileDescriptor {
 public:
  FileDescriptor(int fd, bool owned) : fd_(fd), owned_(owned) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)), owned_(std::exchange(other.owned_, false)) {}
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor() {
    if (owned_) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
  bool owned_;
};

struct Source {
  FileDescriptor file;
  std::string name;
  std::optional<std::uint64_t> size;  // known for regular files
};

Result<std::string> read_piece(const Source& source) {
  std::string piece(kChunk, '\0');
  ssize_t got = 0;
  do {
    got = ::read(source.file.get(), piece.data(), piece.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return fail_errno(errno, "cannot read '" + source.name + "'");
  piece.resize(static_cast<std::size_t>(got));
  return piece;
}

Result<Source> described(FileDescriptor file, std::string name) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return fail_errno(errno, "cannot look at '" + name + "'");
  if (S_ISDIR(info.st_mode)) return fail(Code::kInvalid, "'" + name + "' is a directory", "give --file an image");
  Source source{std::move(file), std::move(name), std::nullopt};
  const off_t at = ::lseek(source.file.get(), 0, SEEK_CUR);
  if (S_ISREG(info.st_mode) && at >= 0 && at <= info.st_size) source.size = static_cast<std::uint64_t>(info.st_size - at);
  return source;
}

// The file named; else standard input where it is redirected from a file or a pipe, as python-openstackclient does; else nothing.
Result<std::optional<Source>> open_source(const Context& context, const Args& args) {
  const std::string path = args.text("file");
  if (!path.empty() && path != "-") {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
      const int failed = errno;
      auto error = fail_errno(failed, "cannot open '" + path + "'").value();
      error.next_action = "give --file an image that can be read";
      return tl::unexpected<Error>(std::move(error));
    }
    CA_TRY(auto source, described(FileDescriptor(fd, true), path));
    return std::optional(std::move(source));
  }
  struct stat info {};
  const bool has_data = ::fstat(context.stdin_fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode));
  if (!has_data && path.empty()) return std::optional<Source>();
  CA_TRY(auto source, described(FileDescriptor(context.stdin_fd, false), "standard input"));
  return std::optional(std::move(source));
}

Json metadata_of(const Args& args) {
  Json image{{"name", args.text("<image-name>")},
             {"disk_format", args.text("disk-format", "raw")},
             {"container_format", args.text("container-format", "bare")}};
  if (const auto id = args.get("id")) image["id"] = *id;
  if (const auto value = args.number("min-disk")) image["min_disk"] = *value;
  if (const auto value = args.number("min-ram")) image["min_ram"] = *value;
  if (args.has("protected") || args.has("unprotected")) image["protected"] = args.has("protected");
  if (const std::string visibility = visibility_of(args); !visibility.empty()) image["visibility"] = visibility;
  if (args.has("tag")) image["tags"] = args.all("tag");
  for (const auto& [key, value] : args.pairs("property")) image[key] = value;
  return image;
}

Result<void> upload(Context& context, const Args& args, const Source& source, std::string first, const std::string& id) {
  TransferBar bar(context.err, context.err_is_terminal, args.has("progress"), source.size);
  bool use_first = true;
  UploadSource pieces;
  pieces.size = source.size;
  pieces.read = [&]() -> Result<std::string> {
    std::string piece;
    if (std::exchange(use_first, false)) {
      piece = std::move(first);
    } else {
      CA_TRY(piece, read_piece(source));
    }
    bar.moved(piece.size());
    return piece;
  };
  CA_TRY_VOID(context.api.upload({.method = "PUT",
                                  .service = Service::kImage,
                                  .path = "/images/" + percent_encode(id) + "/file",
                                  .content_type = "application/octet-stream"},
                                 pieces));
  return {};
}

}  // namespace

Result<Output> run_image_create(Context& context, const Args& args) {
  CA_TRY(auto source, open_source(context, args));
  std::string first;
  if (source) {
    CA_TRY(first, read_piece(*source));
    if (first.empty() && args.has("file")) {
      return fail(Code::kInvalid, "'" + source->name + "' is empty",
                  "give --file an image with content, or leave it out to reserve a name");
    }
  }
  CA_TRY(Json image, context.api.json({.method = "POST", .service = Service::kImage, .path = "/images", .body = metadata_of(args)}));
  const std::string path = "/images/" + percent_encode(text_member(image, "id"));
  if (!first.empty()) {
    auto sent = upload(context, args, *source, std::move(first), text_member(image, "id"));
    if (!sent) {
      const auto removed = context.api.send({.method = "DELETE", .service = Service::kImage, .path = path});
      Error error = wrap(std::move(sent).error(), "cannot upload '" + source->name + "' as image " + args.text("<image-name>")).value();
      if (!removed && removed.error().code != Code::kNotFound) {
        error.next_action = error.action() + "; delete what is left of the image: computectl image delete " + text_member(image, "id");
      }
      return tl::unexpected<Error>(std::move(error));
    }
    CA_TRY(image, context.api.json({.service = Service::kImage, .path = path}));
  }
  return Output(image_details(image, false));
}

Result<Output> run_image_import(Context& context, const Args& args) {
  if (!args.has("uri")) return fail(Code::kInvalid, "--uri is missing", "say where the image is: --uri https://...");
  CA_TRY(const Json image, find_image(context.api, args.text("<image>")));
  const std::string id = text_member(image, "id"), path = "/images/" + percent_encode(id);
  Json method{{"name", "web-download"}, {"uri", args.text("uri")}};
  if (const auto checksum = args.get("checksum")) method["checksum"] = *checksum;
  CA_TRY(const auto accepted,
         context.api.send(
             {.method = "POST", .service = Service::kImage, .path = path + "/import", .body = Json{{"method", std::move(method)}}}));
  if (args.has("wait")) {
    CA_TRY(const Json done, wait_for_image(context, id));
    return Output(image_details(done, false));
  }
  CA_TRY(const Json now, context.api.json({.service = Service::kImage, .path = path}));
  return Output(image_details(now, false));
}

Result<Output> run_image_save(Context& context, const Args& args) {
  CA_TRY(const Json image, find_image(context.api, args.text("<image>")));
  const std::string path = args.text("file");
  if (path.empty() && context.out_is_terminal) {
    return fail(Code::kInvalid, "an image is not written to a terminal", "give --file FILE, or redirect standard output");
  }
  const Json size = member_or_empty(image, "size");
  TransferBar bar(context.err, context.err_is_terminal, false,
                  size.is_number_unsigned() ? std::optional(size.get<std::uint64_t>()) : std::nullopt);
  const int fd = path.empty() ? -1 : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (!path.empty() && fd < 0) return fail_errno(errno, "cannot write '" + path + "'");
  const FileDescriptor file(fd, fd >= 0);
  const DownloadSink sink = [&](std::string_view piece) -> Result<void> {
    bar.moved(piece.size());
    if (path.empty()) {
      context.out << piece;
      if (context.out) return {};
      return fail(Code::kIo, "cannot write to standard output");
    }
    while (!piece.empty()) {
      const ssize_t put = ::write(file.get(), piece.data(), piece.size());
      if (put < 0 && errno != EINTR) return fail_errno(errno, "cannot write '" + path + "'");
      if (put > 0) piece.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
  };
  auto got =
      context.api.download({.service = Service::kImage, .path = "/images/" + percent_encode(text_member(image, "id")) + "/file"}, sink);
  if (!got) {
    if (!path.empty()) ::unlink(path.c_str());
    return tl::unexpected<Error>(std::move(got).error());
  }
  return Output{};
}

}  // namespace ca::ctl
