#include "drivers/config_drive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <memory>
#include <set>
#include <span>
#include <string_view>

#include "drivers/files/durable_file.h"

namespace ca {
namespace {

constexpr std::size_t kMaxBytes = 64 << 20;  // nova's size of a vfat config drive
constexpr std::size_t kMaxPath = 255;
constexpr std::size_t kMaxDepth = 7;  // ISO 9660 has eight levels with the root

struct FreeArchive {
  void operator()(archive* writer) const { archive_write_free(writer); }
};
struct FreeEntry {
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
using Writer = std::unique_ptr<archive, FreeArchive>;

Result<void> check_path(const std::string& path) {
  const auto refuse = [&](const char* why) { return fail(Code::kInvalid, fmt::format("config drive path \"{:.64}\" {}", path, why)); };
  if (path.empty() || path.size() > kMaxPath) return refuse("is empty or too long");
  if (path.find('\0') != std::string::npos) return refuse("has a NUL character");
  std::size_t depth = 0;
  for (std::size_t begin = 0; begin <= path.size(); ++depth) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const auto part = std::string_view(path).substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return refuse("is not a plain relative path");
    begin = end + 1;
  }
  if (depth > kMaxDepth) return refuse("has too many levels");
  return {};
}

// Every directory that the paths need, parents first.
std::set<std::string> directories_of(const ConfigDriveFiles& files) {
  std::set<std::string> directories;
  for (const auto& [path, content] : files) {
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
      directories.insert(path.substr(0, slash));
  }
  return directories;
}

Result<void> check_files(const ConfigDriveFiles& files) {
  std::size_t bytes = 0;
  for (const auto& [path, content] : files) {
    CA_TRY_VOID(check_path(path));
    bytes += content.size();
  }
  for (const auto& directory : directories_of(files)) {
    if (files.contains(directory))
      return fail(Code::kInvalid, fmt::format("config drive path \"{:.64}\" is a file and a directory", directory));
  }
  if (bytes > kMaxBytes) return fail(Code::kTooLarge, fmt::format("a config drive of {} bytes is over the bound of {}", bytes, kMaxBytes));
  return {};
}

// libarchive keeps errno's value; anything else is its own refusal.
tl::unexpected<Error> archive_error(archive* writer, const std::string& path) {
  const int errnum = archive_errno(writer);
  if (errnum > 0) return fail_file(errnum, "cannot write config drive", path);
  const char* text = archive_error_string(writer);
  return fail(Code::kExternal,
              fmt::format("libarchive cannot write config drive {}: {}", path, text != nullptr ? text : "no reason given"));
}

// Adds files and directories to one archive; the first refusal ends it.
class ConfigDriveWriter {
 public:
  explicit ConfigDriveWriter(DurableFile& file) : file_(file), writer_(archive_write_new()) {}

  Result<void> write(const ConfigDriveFiles& files) {
    if (!writer_) return fail(Code::kExternal, "libarchive cannot make a writer");
    CA_TRY_VOID(open());
    for (const auto& directory : directories_of(files)) CA_TRY_VOID(add(directory, AE_IFDIR | 0555, {}));
    for (const auto& [path, content] : files) CA_TRY_VOID(add(path, AE_IFREG | 0444, content));
    return done(archive_write_close(writer_.get()));
  }

 private:
  [[nodiscard]] Result<void> done(int status) {
    // ARCHIVE_WARN is a refusal too: a name or an option was not taken as it is.
    if (status == ARCHIVE_OK) return {};
    return archive_error(writer_.get(), file_.part_path());
  }

  Result<void> open() {
    // The padding serves optical drives. Rock Ridge keeps long names for Linux, Joliet for Windows.
    constexpr const char* kOptions =
        "iso9660:volume-id=config-2,iso9660:publisher=OpenStack "
        "Nova,iso9660:application-id=compute-agent " COMPUTE_AGENT_VERSION ",iso9660:rockridge=useful,iso9660:joliet,iso9660:!pad";
    CA_TRY_VOID(done(archive_write_set_format_iso9660(writer_.get())));
    CA_TRY_VOID(done(archive_write_set_options(writer_.get(), kOptions)));
    return done(archive_write_open_fd(writer_.get(), file_.fd()));
  }

  Result<void> add(const std::string& path, unsigned int mode, const std::string& content) {
    const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    if (!entry) return fail(Code::kExternal, "libarchive cannot make an entry");
    archive_entry_set_pathname(entry.get(), path.c_str());
    archive_entry_set_mode(entry.get(), mode);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
    archive_entry_set_mtime(entry.get(), now_, 0);
    CA_TRY_VOID(done(archive_write_header(writer_.get(), entry.get())));
    if (content.empty()) return {};
    const la_ssize_t n = archive_write_data(writer_.get(), content.data(), content.size());
    if (n != static_cast<la_ssize_t>(content.size())) return archive_error(writer_.get(), file_.part_path());
    return {};
  }

  DurableFile& file_;
  Writer writer_;
  std::time_t now_ = std::time(nullptr);
};

// libarchive writes the primary descriptor's names in ISO 9660's strict characters ("CONFIG_2"; only Joliet's
// copy is as given). Guests look for "config-2", some by the primary descriptor alone, and mkisofs, which
// nova uses, writes it there.
Result<void> restore_names(DurableFile& file) {
  struct Field {
    std::int64_t at;
    std::size_t size;
    std::string_view strict, wanted;
  };
  constexpr std::int64_t kPrimaryDescriptor = std::int64_t{16} * 2048;
  constexpr std::array kFields{Field{40, 32, "CONFIG_2", "config-2"}, Field{318, 128, "OPENSTACK NOVA", "OpenStack Nova"}};
  for (const auto& field : kFields) {
    std::string text(field.size, '\0');
    const ssize_t n = ::pread(file.fd(), text.data(), text.size(), kPrimaryDescriptor + field.at);
    if (n < 0) return fail_file(errno, "cannot read", file.part_path());
    if (!text.starts_with(field.strict)) {
      return fail(Code::kExternal, fmt::format("libarchive wrote an unexpected volume descriptor into {}", file.part_path()));
    }
    CA_TRY_VOID(file.write_at(kPrimaryDescriptor + field.at, std::as_bytes(std::span(field.wanted))));
  }
  return {};
}

}  // namespace

Result<void> write_config_drive(const std::string& path, const ConfigDriveFiles& files) {
  CA_TRY_VOID(check_files(files));
  CA_TRY(DurableFile file, DurableFile::create(path, 0600));
  CA_TRY_VOID(ConfigDriveWriter(file).write(files));
  CA_TRY_VOID(restore_names(file));
  return file.commit();
}

}  // namespace ca
