#include "drivers/disk/rbd/direct_rbd.h"

#include <fmt/format.h>

#include <string_view>

#include "drivers/disk/rbd/cluster.h"
#include "drivers/disk/rbd/image_pool.h"
#include "drivers/disk/rbd/names.h"
#include "drivers/disk/rbd/rbd_backend.h"
#include "drivers/files/instance_dir.h"

namespace ca::rbd {
namespace {

constexpr std::size_t kMostKeyring = 1 << 20;

class Direct final : public RbdModule {
 public:
  explicit Direct(const RbdOptions& options)
      : connection_({options.ceph_conf, options.user, options.connect_timeout}),
        store_connection_({options.store_ceph_conf, options.store_user, options.connect_timeout}),
        disks_(make_rbd_backend(connection_, options)) {
    const bool same = options.store_ceph_conf == options.ceph_conf && options.store_user == options.user;
    if (!options.store_pool.empty()) images_ = make_image_pool(same ? connection_ : store_connection_, options.store_pool);
  }

  DiskBackend& disks() override { return *disks_; }
  ImagePool* images() override { return images_.get(); }

  Result<std::string> key() override {
    const std::string entity = "client." + connection_.user();
    CA_TRY(const std::string files, connection_.setting("keyring"));
    std::string_view rest = files;
    while (!rest.empty()) {
      const auto end = rest.find(',');
      const std::string file(rest.substr(0, end));
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      const auto text = read_tail(file, kMostKeyring);
      if (!text) continue;
      if (auto key = key_in_keyring(*text, entity)) return *key;
    }
    return fail(Code::kForbidden, fmt::format("no keyring ({}) has a key of {} that the agent may read", files, entity),
                "put the user's keyring there (ceph auth get " + entity + "), readable for the agent");
  }

 private:
  Connection connection_;
  Connection store_connection_;  // connects only when it is used
  std::unique_ptr<DiskBackend> disks_;
  std::unique_ptr<ImagePool> images_;
};

}  // namespace

std::unique_ptr<RbdModule> make_direct_rbd(const RbdOptions& options) { return std::make_unique<Direct>(options); }

}  // namespace ca::rbd
