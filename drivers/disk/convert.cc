#include "drivers/disk_convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "drivers/files/durable_file.h"

namespace ca {
namespace {

bool is_disk_format(DiskFormat format) { return format == DiskFormat::kRaw || format == DiskFormat::kQcow2; }

}  // namespace

Result<void> convert_disk(ProcessRunner& runner, const std::string& qemu_img, const ConvertSpec& spec) {
  constexpr std::int64_t kGib = std::int64_t{1} << 30;
  constexpr std::int64_t kSlack = std::int64_t{16} << 20;
  // A path that does not start with "/" could be one of qemu's protocols.
  if (!is_disk_format(spec.from_format) || !is_disk_format(spec.to_format) || !spec.from.starts_with('/') || !spec.to.starts_with('/')) {
    return fail(Code::kInvalid,
                fmt::format("a disk is copied from raw or qcow2 to raw or qcow2 by absolute paths, not from {} ({}) to {} ({})", spec.from,
                            to_string(spec.from_format), spec.to, to_string(spec.to_format)));
  }
  const std::int64_t gib = std::clamp<std::int64_t>(spec.virtual_bytes / kGib + 1, 1, 1024);
  ProcessSpec process;
  process.argv = {qemu_img,  "convert", "-f", std::string(to_string(spec.from_format)), "-O", std::string(to_string(spec.to_format)),
                  spec.from, spec.to};
  process.cpu_seconds = 30 + 60 * gib;
  process.wall_limit = std::chrono::seconds(60 + 120 * gib);
  // qcow2 adds its tables: 8 bytes of L2 and 2 of refcounts for each 64 KiB.
  process.file_bytes = spec.virtual_bytes + spec.virtual_bytes / 4096 + kSlack;
  process.output_bytes = 64 << 10;
  CA_TRY(const ProcessResult result, runner.run(process));
  if (result.exit_status == 0) return {};
  if (result.err.find("No space left on device") != std::string::npos) return fail_file(ENOSPC, "qemu-img cannot write", spec.to);
  return fail(Code::kExternal, fmt::format("{} convert ended with status {}: {:.400}", qemu_img, result.exit_status, result.err));
}

}  // namespace ca
