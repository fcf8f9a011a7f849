#include "agent/core/values.h"

#include <array>
#include <utility>

namespace ca {
namespace {

// The Image API's words: "vhd" is qemu's vpc.
constexpr std::array<std::pair<DiskFormat, std::string_view>, 8> kFormats{{
    {DiskFormat::kUnknown, "unknown"},
    {DiskFormat::kRaw, "raw"},
    {DiskFormat::kQcow2, "qcow2"},
    {DiskFormat::kVmdk, "vmdk"},
    {DiskFormat::kVdi, "vdi"},
    {DiskFormat::kVhd, "vhd"},
    {DiskFormat::kVhdx, "vhdx"},
    {DiskFormat::kIso, "iso"},
}};

}  // namespace

std::string_view to_string(DiskFormat format) {
  for (const auto& [value, text] : kFormats) {
    if (value == format) return text;
  }
  return "unknown";
}

DiskFormat disk_format_from(std::string_view text) {
  for (const auto& [value, name] : kFormats) {
    if (name == text) return value;
  }
  return DiskFormat::kUnknown;
}

std::string_view to_string(BlockSource source) {
  switch (source) {
    case BlockSource::kBlank: return "blank";
    case BlockSource::kImage: return "image";
    case BlockSource::kVolume: return "volume";
    case BlockSource::kSnapshot: return "snapshot";
  }
  return "blank";
}

std::string_view to_string(BlockDestination destination) { return destination == BlockDestination::kLocal ? "local" : "volume"; }

std::string_view to_string(ImageStatus status) {
  switch (status) {
    case ImageStatus::kQueued: return "queued";
    case ImageStatus::kSaving: return "saving";
    case ImageStatus::kActive: return "active";
    case ImageStatus::kDeleted: return "deleted";
  }
  return "queued";
}

std::string_view to_string(NetworkKind kind) {
  switch (kind) {
    case NetworkKind::kNat: return "nat";
    case NetworkKind::kIsolated: return "isolated";
    case NetworkKind::kBridge: return "bridge";
  }
  return "nat";
}

}  // namespace ca
