#include "drivers/image/inspector/magic.h"

#include <algorithm>
#include <array>

#include "drivers/image/inspector/bytes.h"

namespace ca::inspector {
namespace {

using namespace std::string_view_literals;

struct Pattern {
  std::size_t at;
  std::string_view bytes;
  Mark mark;
};

// QCOW has two entries because version 1 is another format under the same four bytes.
constexpr std::array kStartPatterns{
    Pattern{0, "QFI\xfb\0\0\0\x01"sv, {"qcow (version 1)", DiskFormat::kUnknown}},
    Pattern{0, "QFI\xfb"sv, {"qcow2", DiskFormat::kQcow2}},
    Pattern{0, "QED\0"sv, {"QED", DiskFormat::kUnknown}},
    Pattern{0, "KDMV"sv, {"vmdk", DiskFormat::kVmdk}},
    Pattern{0, "COWD"sv, {"VMDK version 3 (COWD)", DiskFormat::kUnknown}},
    Pattern{0x40, "\x7f\x10\xda\xbe"sv, {"vdi", DiskFormat::kVdi}},
    Pattern{0, "conectix"sv, {"vhd", DiskFormat::kVhd}},
    Pattern{0, "vhdxfile"sv, {"vhdx", DiskFormat::kVhdx}},
    Pattern{0, "LUKS\xba\xbe"sv, {"LUKS", DiskFormat::kUnknown}},
    Pattern{0, "WithoutFreeSpace"sv, {"Parallels", DiskFormat::kUnknown}},
    Pattern{0, "WithouFreSpacExt"sv, {"Parallels", DiskFormat::kUnknown}},
    Pattern{0, "Bochs Virtual HD Image"sv, {"Bochs", DiskFormat::kUnknown}},
    Pattern{0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop"sv, {"cloop", DiskFormat::kUnknown}},
};

constexpr std::array kEndPatterns{
    Pattern{0, "conectix"sv, {"vhd", DiskFormat::kVhd}},
    Pattern{0, "koly"sv, {"DMG", DiskFormat::kUnknown}},
};

// A VMDK descriptor is text: comment and blank lines, then the line "version=<1..3>" (qemu's vmdk_probe).
bool is_vmdk_descriptor(std::string_view text) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    const bool skipped = line.starts_with('#') || line.find_first_not_of(" \r") == std::string_view::npos;
    if (!skipped) return line.starts_with("version=1") || line.starts_with("version=2") || line.starts_with("version=3");
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return false;
}

Mark find_mark(std::string_view text, std::span<const Pattern> patterns) {
  for (const auto& pattern : patterns) {
    if (text.size() >= pattern.at && text.substr(pattern.at).starts_with(pattern.bytes)) return pattern.mark;
  }
  return {};
}

}  // namespace

Result<Mark> mark_at_start(const ByteSource& source) {
  constexpr std::int64_t kProbed = 2048;  // four times what qemu probes
  CA_TRY(const Block block, read_block(source, 0, static_cast<std::size_t>(std::min(source.size(), kProbed)), "the start"));
  const auto text = block.text();
  const Mark mark = find_mark(text, kStartPatterns);
  if (mark.name.empty() && is_vmdk_descriptor(text)) return Mark{"VMDK descriptor", DiskFormat::kUnknown};
  return mark;
}

Result<Mark> mark_at_end(const ByteSource& source) {
  if (source.size() < kSector) return Mark{};
  CA_TRY(const Block block, read_block(source, static_cast<std::uint64_t>(source.size() - kSector), kSector, "the last sector"));
  // A fixed VHD that was written by early Microsoft tools has a footer of 511 bytes.
  if (block.text(1, 8) == "conectix") return Mark{"vhd", DiskFormat::kVhd};
  return find_mark(block.text(), kEndPatterns);
}

}  // namespace ca::inspector
