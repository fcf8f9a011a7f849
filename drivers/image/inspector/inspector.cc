#include <string>

#include "drivers/image/inspector/bytes.h"
#include "drivers/image/inspector/formats.h"
#include "drivers/image/inspector/magic.h"

namespace ca {
namespace {

using namespace inspector;

Result<ImageFacts> inspect_as(DiskFormat format, const ByteSource& source) {
  switch (format) {
    case DiskFormat::kRaw: return inspect_raw(source);
    case DiskFormat::kQcow2: return inspect_qcow2(source);
    case DiskFormat::kVmdk: return inspect_vmdk(source);
    case DiskFormat::kVdi: return inspect_vdi(source);
    case DiskFormat::kVhd: return inspect_vhd(source);
    case DiskFormat::kVhdx: return inspect_vhdx(source);
    case DiskFormat::kIso: return inspect_iso(source);
    case DiskFormat::kUnknown: break;
  }
  return fail(Code::kInvalid, "no disk format is recorded for it", "register the image with its disk_format");
}

// A file that starts as one format and is registered as another is somebody's trick or mistake. No mark at
// all is only right for the formats that need none there.
Result<void> check_mark(DiskFormat registered, const ByteSource& source) {
  CA_TRY(const Mark mark, mark_at_start(source));
  if (mark.name.empty()) {
    const bool needs_none = registered == DiskFormat::kRaw || registered == DiskFormat::kIso || registered == DiskFormat::kVhd;
    if (needs_none || registered == DiskFormat::kUnknown) return {};
    return refuse("it does not start as a {} image does", to_string(registered));
  }
  if (mark.format == registered && registered != DiskFormat::kUnknown) return {};
  return refuse("its content is {}", mark.name);
}

}  // namespace

Result<ImageFacts> inspect_image(DiskFormat registered, const ByteSource& source) {
  const auto inspect = [&]() -> Result<ImageFacts> {
    if (source.size() <= 0) return refuse("it is empty");
    CA_TRY_VOID(check_mark(registered, source));
    return inspect_as(registered, source);
  };
  auto facts = inspect();
  if (!facts) {
    return wrap(std::move(facts).error(), fmt::format("the image registered as {} is refused", to_string(registered)));
  }
  return facts;
}

}  // namespace ca
