#include "drivers/image/cache/blank_base.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "drivers/files/durable_file.h"

namespace ca {
namespace {

constexpr std::int64_t kGib = std::int64_t{1} << 30;
constexpr std::int64_t kMib = std::int64_t{1} << 20;
constexpr std::int64_t kLargestGib = 64 << 10;  // vfat and qcow2 end before

struct FileSystem {
  std::string_view name;
  std::string_view digits;  // first 7 of md5(name), nova's get_file_extension_for_os_type
  std::vector<std::string> command;
};

// nova labels a file system after the first disk that was made of it, which is ephemeral0 nearly always.
const std::array<FileSystem, 3>& file_systems() {
  static const std::array<FileSystem, 3> all{{{"ext4", "40d1d2c", {"/sbin/mkfs.ext4", "-F", "-q", "-L", "ephemeral0"}},
                                              {"vfat", "0706d66", {"/sbin/mkfs.vfat", "-n", "ephemeral0"}},
                                              {"xfs", "310201b", {"/sbin/mkfs.xfs", "-f", "-q", "-L", "ephemeral0"}}}};
  return all;
}

std::vector<std::string> command_for(const std::string& format) {
  if (format == "swap") return {"/sbin/mkswap"};
  return std::ranges::find(file_systems(), format, &FileSystem::name)->command;
}

}  // namespace

std::string blank_base_name(const BlankDisk& disk) {
  if (disk.size_bytes <= 0 || disk.size_bytes > kLargestGib * kGib) return {};
  if (disk.format == "swap") return disk.size_bytes % kMib == 0 ? fmt::format("swap_{}", disk.size_bytes / kMib) : "";
  const auto found = std::ranges::find(file_systems(), disk.format, &FileSystem::name);
  if (found == file_systems().end() || disk.size_bytes % kGib != 0) return {};
  return fmt::format("ephemeral_{}_{}", disk.size_bytes / kGib, found->digits);
}

Result<void> make_blank_base(const BlankDisk& disk, const std::string& path, ProcessRunner& runner) {
  if (blank_base_name(disk).empty()) {
    return fail(Code::kInvalid,
                fmt::format("a blank disk of {} bytes as \"{:.32}\" can't be made: ext4, vfat and xfs come in whole GiB up to {}, swap in "
                            "whole MiB",
                            disk.size_bytes, disk.format, kLargestGib));
  }
  CA_TRY(DurableFile part, DurableFile::create(path, 0644));
  CA_TRY_VOID(part.set_size(disk.size_bytes));
  ProcessSpec spec;
  spec.argv = command_for(disk.format);
  spec.argv.push_back(part.part_path());
  spec.cpu_seconds = 120;
  spec.wall_limit = std::chrono::minutes(10);
  spec.file_bytes = disk.size_bytes;
  spec.output_bytes = 64 << 10;
  CA_TRY(const ProcessResult result, runner.run(spec));
  if (result.exit_status == 0) return part.commit();
  const std::string said = result.err + result.out;
  if (said.find("No space left on device") != std::string::npos) return fail_file(ENOSPC, spec.argv[0] + " cannot write", part.part_path());
  return fail(Code::kExternal, fmt::format("{} ended with status {}: {:.400}", spec.argv[0], result.exit_status, said),
              "install e2fsprogs, dosfstools, xfsprogs or util-linux if it is missing");
}

}  // namespace ca
