#pragma once
// What the two file back ends share: disks are regular files in <instances_path>/<uuid>/.

#include "drivers/disk.h"

namespace ca {

class FileBackend : public DiskBackend {
 public:
  explicit FileBackend(std::string instances_path) : instances_path_(std::move(instances_path)) {}

  [[nodiscard]] std::string address(const Uuid& instance, const std::string& name) const override;
  [[nodiscard]] DiskSource source(const std::string& address) const override;
  Result<void> import(const std::string& file, const std::string& address) override;
  Result<void> remove(const std::string& address) override;
  Result<void> keep(const std::string& address) override;
  Result<void> give_back(const std::string& address) override;
  Result<void> forget_kept(const std::string& address) override;
  // QEMU's own lock on an open image keeps a second writer out (qemu(1), locking).
  Result<void> check_unused(const std::string& address) override;
  Result<DiskCapacity> capacity() override;

 private:
  std::string instances_path_;
};

}  // namespace ca
