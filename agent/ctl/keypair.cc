#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <ostream>

#include "agent/ctl/commands.h"
#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/ssh_key.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

constexpr std::size_t kMaxKeyFile = 16U << 10U;

Result<std::string> read_public_key(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(kMaxKeyFile + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file.is_open() || file.bad())
    return fail(Code::kIo, "Key file " + path + " cannot be read", "give --public-key the file that ends in .pub");
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.find("PRIVATE KEY") != std::string::npos) {
    return fail(Code::kInvalid, "Key file " + path + " holds a private key, which must not be sent",
                "give --public-key the file that ends in .pub");
  }
  if (content.empty() || content.size() > kMaxKeyFile) {
    return fail(Code::kInvalid, "Key file " + path + " does not hold one public key", "give --public-key the file that ends in .pub");
  }
  while (content.ends_with('\n') || content.ends_with('\r')) content.pop_back();
  return content;
}

// Where the private key goes: a file that no one else may read, which must not exist yet, or standard output.
class PrivateKeyTarget {
 public:
  static Result<PrivateKeyTarget> open(const std::string& path) {
    if (path.empty()) return PrivateKeyTarget({}, -1);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) return PrivateKeyTarget(path, fd);
    if (errno == EEXIST) {
      return fail(Code::kConflict, "Key file " + path + " exists already", "move it away, or save the new key under another name");
    }
    return fail_errno(errno, "Key file " + path + " can not be saved");
  }
  PrivateKeyTarget(PrivateKeyTarget&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  PrivateKeyTarget& operator=(PrivateKeyTarget&&) = delete;
  ~PrivateKeyTarget() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path_.c_str());  // the key was not registered
  }
  Result<void> write(std::ostream& out, std::string_view key) const {
    if (fd_ < 0) {
      out << key;
      return {};
    }
    while (!key.empty()) {
      const ssize_t put = ::write(fd_, key.data(), key.size());
      if (put < 0 && errno != EINTR) return fail_errno(errno, "Key file " + path_ + " can not be saved");
      if (put > 0) key.remove_prefix(static_cast<std::size_t>(put));
    }
    if (::fsync(fd_) != 0) return fail_errno(errno, "Key file " + path_ + " can not be saved");
    return {};
  }
  void keep() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  PrivateKeyTarget(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

Result<Json> post(Api& api, const Args& args, const std::string& public_key) {
  return api.record({.method = "POST",
                     .path = "/os-keypairs",
                     .body = Json{{"keypair", {{"name", args.text("<name>")}, {"public_key", public_key}, {"type", "ssh"}}}}},
                    "keypair");
}

Details keypair_details(const Json& keypair, bool with_key) {
  std::map<std::string, Cell> cells;
  for (const char* name : {"created_at", "fingerprint", "id", "is_deleted", "name", "type", "user_id"}) cells[name] = plain_cell(nullptr);
  for (const auto& [name, value] : keypair.items()) {
    if (name == "private_key" || (name == "public_key" && !with_key)) continue;
    cells[name == "deleted" ? "is_deleted" : name] = plain_cell(value);
  }
  cells["id"] = plain_cell(member_or_empty(keypair, "name"));  // a keypair's name is its id
  cells.erase("deleted_at");
  cells.erase("updated_at");
  Details details;
  for (auto& [name, cell] : cells) details.add(name, std::move(cell));
  return details;
}

Result<Output> run_keypair_create(Context& context, const Args& args) {
  if (const auto path = args.get("public-key")) {
    CA_TRY(const std::string key, read_public_key(*path));
    CA_TRY(const Json made, post(context.api, args, key));
    return Output(keypair_details(made, false));
  }
  const std::string path = args.text("private-key");
  CA_TRY(auto target, PrivateKeyTarget::open(path));
  CA_TRY(const SshKeyPair pair, make_ssh_key_pair(args.text("<name>")));
  if (!path.empty()) CA_TRY_VOID(target.write(context.out, pair.private_key));
  CA_TRY(const Json made, post(context.api, args, pair.public_key));
  target.keep();
  if (!path.empty()) return Output(keypair_details(made, false));
  CA_TRY_VOID(target.write(context.out, pair.private_key));
  return Output{};
}

Result<Output> run_keypair_list(Context& context, const Args& args) {
  Query query;
  for (const std::string_view name : {"marker", "limit"}) {
    if (const auto value = args.get(name)) query.emplace_back(name, *value);
  }
  CA_TRY(const auto wrapped, context.api.list({.path = "/os-keypairs", .query = query}, "keypairs"));
  std::vector<Json> keypairs;
  for (const Json& one : wrapped) keypairs.push_back(member_or_empty(one, "keypair"));
  constexpr ColumnOf kColumns[] = {{"Name", "name"}, {"Fingerprint", "fingerprint"}, {"Type", "type"}};
  return Output(listing_of(kColumns, keypairs));
}

Result<Output> run_keypair_show(Context& context, const Args& args) {
  CA_TRY(const Json keypair, context.api.record({.path = "/os-keypairs/" + percent_encode(args.text("<key>"))}, "keypair"));
  if (!args.has("public-key")) return Output(keypair_details(keypair, false));
  const std::string key = text_member(keypair, "public_key");
  context.out << (context.out_is_terminal ? escape_controls(key) : key) << (key.ends_with('\n') ? "" : "\n");
  return Output{};
}

Result<Output> run_keypair_delete(Context& context, const Args& args) {
  return for_each_name(context, args.all("<key>"), "delete", "keypair", [&](const std::string& name) -> Result<void> {
    CA_TRY_VOID(context.api.send({.method = "DELETE", .path = "/os-keypairs/" + percent_encode(name)}));
    return {};
  });
}

// The name becomes the comment of a generated key: one line.
std::string file_problem(const std::string& value) { return value.empty() ? "is empty" : ""; }

constexpr Positional kNewKey[] = {{.name = "<name>", .help = "New key name"}};
constexpr Positional kKey[] = {{.name = "<key>", .help = "Key (name only)"}};
constexpr Positional kKeys[] = {{.name = "<key>", .help = "Name of key(s) (name only)", .many = true}};

constexpr Option kCreateOptions[] = {
    {.names = "--public-key",
     .metavar = "<file>",
     .help = "Filename for public key to add. If not used, creates an Ed25519 key pair",
     .exclusive = "key",
     .check = &file_problem},
    {.names = "--private-key",
     .metavar = "<file>",
     .help = "Filename for private key to save (mode 0600; must not exist). If not used, it is printed",
     .exclusive = "key",
     .check = &file_problem},
    {.names = "--type", .metavar = "<type>", .help = "Keypair type", .choices = "ssh"},
};
constexpr Option kListOptions[] = {
    {.names = "--marker", .metavar = "<marker>", .help = "The last keypair of the previous page"},
    {.names = "--limit", .metavar = "<limit>", .help = "Maximum number of keypairs to display", .type = ArgType::kNotNegative},
};
constexpr Option kShowOptions[] = {{.names = "--public-key", .help = "Show only bare public key"}};

constexpr Command kCommands[] = {
    {.name = "keypair create",
     .summary = "Create new public or private key for server ssh access",
     .description = "Without --public-key the key pair is made here; only its public half is sent to the agent.",
     .positionals = kNewKey,
     .options = kCreateOptions,
     .display = Display::kShow,
     .example =
         "computectl keypair create --public-key ~/.ssh/id_ed25519.pub mykey\ncomputectl keypair create --private-key ~/.ssh/mykey mykey",
     .run = &run_keypair_create},
    {.name = "keypair delete",
     .summary = "Delete key(s)",
     .positionals = kKeys,
     .example = "computectl keypair delete mykey",
     .run = &run_keypair_delete},
    {.name = "keypair list",
     .summary = "List key fingerprints",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl keypair list",
     .run = &run_keypair_list},
    {.name = "keypair show",
     .summary = "Display key details",
     .positionals = kKey,
     .options = kShowOptions,
     .display = Display::kShow,
     .example = "computectl keypair show --public-key mykey",
     .run = &run_keypair_show},
};

}  // namespace

std::span<const Command> keypair_commands() { return kCommands; }

}  // namespace ca::ctl
