#include "tests/data/inspector_invariants.h"

#include <algorithm>

namespace ca::testing {
namespace {

// What lies within the file: an image that was cut keeps the rest in memory.
std::string within(const SparseImage& image, std::int64_t offset, std::int64_t count) {
  return image.bytes(offset, std::clamp<std::int64_t>(image.size() - offset, 0, count));
}

// Read here from the bytes themselves, independently of the inspector.
std::string accepted_qcow2_refers_outside(const SparseImage& image) {
  if (image.get_be(8, 8) != 0) return "a qcow2 with a backing file was accepted";
  if (image.get_be(32, 4) != 0) return "an encrypted qcow2 was accepted";
  const auto version = image.get_be(4, 4);
  if (version != 2 && version != 3) return "a qcow2 of another version was accepted";
  if (version == 3 && (image.get_be(72, 8) & ~std::uint64_t{0x19}) != 0) return "a qcow2 with refused features was accepted";
  return {};
}

std::string accepted_vmdk_refers_outside(const SparseImage& image) {
  if (within(image, 512, 10240).find("parentFileNameHint") != std::string::npos) return "a VMDK with a parent was accepted";
  if (image.bytes(12, 8) == std::string(8, '\0')) return "a VMDK with capacity 0 was accepted";
  return {};
}

}  // namespace

std::string broken_invariant(DiskFormat registered, const SparseImage& image) {
  const auto facts = inspect_image(registered, image);
  if (!facts) {
    if (facts.error().code != Code::kUnsafe && facts.error().code != Code::kInvalid)
      return "refused with another code: " + facts.error().chain();
    if (facts.error().chain().size() > 1000) return "the refusal is longer than 1000 characters";
    for (const char c : facts.error().chain()) {
      if (c < ' ' || c > '~') return "the refusal has a character of the image that is not printable";
    }
    return {};
  }
  if (facts->format != registered) return "accepted as another format";
  if (facts->virtual_size_bytes <= 0) return "accepted with no virtual size";
  switch (registered) {
    case DiskFormat::kUnknown: return "accepted without a format";
    case DiskFormat::kQcow2: return accepted_qcow2_refers_outside(image);
    case DiskFormat::kVmdk: return accepted_vmdk_refers_outside(image);
    case DiskFormat::kRaw:
      if (const auto start = within(image, 0, 4); start == "QFI\xfb" || start == "KDMV" || start == std::string("QED\0", 4)) {
        return "a container was accepted as raw";
      }
      [[fallthrough]];
    case DiskFormat::kIso: return facts->virtual_size_bytes == image.size() ? "" : "a flat image has another size than its file";
    default: return {};
  }
}

}  // namespace ca::testing
