#include <dlfcn.h>
#include <fmt/format.h>

#include <string_view>

#include "drivers/disk/rbd/rbd_module.h"

namespace ca {

Result<std::unique_ptr<RbdModule>> load_rbd_module(const std::string& directory, const RbdOptions& options) {
  const std::string file = directory + "/" + kRbdModuleFile;
  // Never closed: librados' threads run in it until the program ends.
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    return fail(Code::kUnavailable, fmt::format("the module for Ceph RBD can't be loaded: {}", reason == nullptr ? file.c_str() : reason),
                "install librbd1 and librados2, see that [agent] module_path names the folder of " + std::string(kRbdModuleFile) +
                    ", or set another images_type");
  }
  const auto* entry = static_cast<const RbdModuleEntry*>(::dlsym(library, kRbdModuleSymbol));
  if (entry == nullptr || std::string_view(entry->version) != COMPUTE_AGENT_VERSION) {
    return fail(
        Code::kInvalid,
        fmt::format("{} is of version {}, this agent of {}", file, entry == nullptr ? "unknown" : entry->version, COMPUTE_AGENT_VERSION),
        "install both from one build");
  }
  return entry->make(options);
}

}  // namespace ca
