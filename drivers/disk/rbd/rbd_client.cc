// Disks and images in Ceph by way of the helper: each call is handed on.

#include <fmt/format.h>

#include <utility>

#include "drivers/disk/rbd/helper_process.h"
#include "drivers/disk/rbd/rbd_module.h"

namespace ca {
namespace {

using rbd::Helper;
using rbd::Json;

constexpr std::chrono::seconds kShort{150};      // a few operations, each with a limit of its own
constexpr std::chrono::seconds kRemoval{1200};   // waits for who has the disk open
constexpr std::chrono::seconds kLong{6 * 3600};  // moves a disk's data; the journal's step has the deadline

template <typename T>
Result<T> value(Result<Json> answer) {
  CA_TRY(const Json json, std::move(answer));
  try {
    return json.get<T>();
  } catch (const Json::exception& e) {
    return fail(Code::kInternal, fmt::format("{} answers nonsense: {}", kRbdHelper, e.what()));
  }
}

Result<void> nothing(Result<Json> answer) {
  CA_TRY_VOID(std::move(answer));
  return {};
}

class ClientBackend final : public DiskBackend {
 public:
  explicit ClientBackend(Helper& helper) : helper_(helper) {}

  // What each disk's source has in common.
  Result<void> learn_source() {
    CA_TRY(const Json source, helper_.call("source", Json::array({address(Uuid(), "disk")}), kShort));
    try {
      for (const Json& host : source.at("hosts")) source_.hosts.push_back({host.at(0), host.at(1)});
      source_.config_file = source.at("config_file");
    } catch (const Json::exception& e) {
      return fail(Code::kInternal, fmt::format("{} answers nonsense: {}", kRbdHelper, e.what()));
    }
    source_.kind = DiskSource::Kind::kRbd;
    source_.auth_user = helper_.options().user;
    source_.auth_secret = helper_.options().secret_uuid;
    return {};
  }

  [[nodiscard]] std::string_view storage() const override { return "rbd"; }
  [[nodiscard]] DiskFormat format() const override { return DiskFormat::kRaw; }
  [[nodiscard]] std::string address(const Uuid& instance, const std::string& name) const override {
    return helper_.options().pool + "/" + instance + "_" + name;
  }
  [[nodiscard]] DiskSource source(const std::string& address) const override {
    DiskSource source = source_;
    source.path = address;
    return source;
  }
  [[nodiscard]] bool takes_directly(const ImageMeta& image) const override { return image.location.starts_with("rbd://"); }

  Result<void> create(const DiskSpec& s) override {
    return nothing(
        helper_.call("create", Json::array({s.path, s.base_path, to_string(s.base_format), s.base_virtual_bytes, s.size_bytes}), kLong));
  }
  Result<bool> create_from_image(const ImageMeta& image, const std::string& address, std::int64_t size_bytes) override {
    if (!takes_directly(image)) return false;
    return value<bool>(helper_.call("clone", Json::array({image.id, image.location, address, size_bytes}), kRemoval));
  }
  Result<void> flatten(const std::string& address) override { return nothing(helper_.call("flatten", Json::array({address}), kLong)); }
  Result<void> import(const std::string& file, const std::string& address) override {
    return nothing(helper_.call("import", Json::array({file, address}), kLong));
  }
  Result<void> remove(const std::string& address) override { return nothing(helper_.call("remove", Json::array({address}), kRemoval)); }
  Result<void> remove_all(const Uuid& instance) override { return nothing(helper_.call("remove_all", Json::array({instance}), kRemoval)); }
  Result<void> resize(const std::string& address, std::int64_t size_bytes) override {
    return nothing(helper_.call("resize", Json::array({address, size_bytes}), kShort));
  }
  Result<std::optional<std::int64_t>> size(const std::string& address) override {
    CA_TRY(const Json bytes, helper_.call("size", Json::array({address}), kShort));
    if (bytes.is_null()) return std::nullopt;
    CA_TRY(const auto number, value<std::int64_t>(bytes));
    return number;
  }
  Result<void> keep(const std::string& address) override { return nothing(helper_.call("keep", Json::array({address}), kShort)); }
  Result<void> give_back(const std::string& address) override { return nothing(helper_.call("give_back", Json::array({address}), kLong)); }
  Result<void> forget_kept(const std::string& address) override {
    return nothing(helper_.call("forget_kept", Json::array({address}), kRemoval));
  }
  Result<void> check_unused(const std::string& address) override {
    return nothing(helper_.call("check_unused", Json::array({address}), kShort));
  }
  Result<void> fence(const std::string& address, const std::string& holder) override {
    return nothing(helper_.call("fence", Json::array({address, holder}), kShort));
  }
  Result<bool> mark_snapshot(const std::string& address, const Uuid& image_id) override {
    return value<bool>(helper_.call("mark_snapshot", Json::array({address, image_id}), kShort));
  }
  Result<std::optional<PoolImage>> snapshot(const std::string& address, const Uuid& image_id) override {
    CA_TRY(const Json image, helper_.call("snapshot", Json::array({address, image_id}), kLong));
    if (image.is_null()) return std::nullopt;
    CA_TRY(const auto parts, (value<std::pair<std::string, std::int64_t>>(image)));
    return PoolImage{parts.first, parts.second};
  }
  Result<void> export_snapshot(const std::string& address, const Uuid& image_id, const std::string& file) override {
    return nothing(helper_.call("export_snapshot", Json::array({address, image_id, file}), kLong));
  }
  Result<void> forget_snapshot(const std::string& address, const Uuid& image_id) override {
    return nothing(helper_.call("forget_snapshot", Json::array({address, image_id}), kRemoval));
  }
  Result<void> keep_record(const Uuid& instance, const std::string& record) override {
    return nothing(helper_.call("keep_record", Json::array({instance, record}), kShort));
  }
  Result<std::string> kept_record(const Uuid& instance) override {
    return value<std::string>(helper_.call("kept_record", Json::array({instance}), kShort));
  }
  Result<DiskCapacity> capacity() override {
    CA_TRY(const auto parts, (value<std::pair<std::int64_t, std::int64_t>>(helper_.call("capacity", Json::array(), kShort))));
    return DiskCapacity{parts.first, parts.second};
  }

 private:
  Helper& helper_;
  DiskSource source_;
};

class ClientPool final : public ImagePool {
 public:
  explicit ClientPool(Helper& helper) : helper_(helper) {}
  Result<std::string> import(const Uuid& id, const std::string& raw_file) override {
    return value<std::string>(helper_.call("put_image", Json::array({id, raw_file}), kLong));
  }
  Result<void> remove(const Uuid& id) override { return nothing(helper_.call("remove_image", Json::array({id}), kRemoval)); }

 private:
  Helper& helper_;
};

class Client final : public RbdModule {
 public:
  Client(const std::string& program, const RbdOptions& options) : helper_(program, options) {}
  Result<void> begin() { return disks_.learn_source(); }
  DiskBackend& disks() override { return disks_; }
  ImagePool* images() override { return helper_.options().store_pool.empty() ? nullptr : &images_; }
  Result<std::string> key() override { return value<std::string>(helper_.call("key", Json::array(), kShort)); }

 private:
  Helper helper_;
  ClientBackend disks_{helper_};
  ClientPool images_{helper_};
};

}  // namespace

Result<std::unique_ptr<RbdModule>> start_rbd(const std::string& directory, const RbdOptions& options) {
  auto client = std::make_unique<Client>(directory + "/" + kRbdHelper, options);
  CA_TRY_VOID(client->begin());
  return client;
}

}  // namespace ca
