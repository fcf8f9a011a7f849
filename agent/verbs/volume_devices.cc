#include "agent/verbs/volume_devices.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/domainxml/disk_device.h"

namespace ca {
namespace {

using Kind = DomainEvent::Kind;

constexpr std::chrono::milliseconds kBetweenAttempts{500};

// Whether the domain has the disk there. No domain, or for kLive one that is off: none.
Result<bool> has_disk(Services& s, const Uuid& uuid, const std::string& serial, DeviceScope scope, bool& domain_there) {
  domain_there = false;
  if (scope == DeviceScope::kLive) {
    auto state = s.hypervisor.power_state(uuid);
    if (!state && state.error().code == Code::kNotFound) return false;
    if (!state) return tl::unexpected<Error>(std::move(state).error());
    if (*state != PowerState::kRunning && *state != PowerState::kPaused && *state != PowerState::kSuspended) return false;
  }
  auto xml = scope == DeviceScope::kLive ? s.hypervisor.domain_xml(uuid) : s.hypervisor.definition_xml(uuid);
  if (!xml && xml.error().code == Code::kNotFound) return false;
  if (!xml) return tl::unexpected<Error>(std::move(xml).error());
  domain_there = true;
  CA_TRY(const std::string target, disk_target(*xml, serial));
  return !target.empty();
}

Result<void> attach_there(Services& s, const Uuid& uuid, const DiskDevice& disk, const std::string& xml, DeviceScope scope) {
  bool there = false;
  CA_TRY(const bool has, has_disk(s, uuid, disk.serial, scope, there));
  if (has || !there) return {};
  auto done = s.hypervisor.attach_device(uuid, xml, scope);
  if (done) return {};
  // Switched off meanwhile: the definition has it.
  const auto still = has_disk(s, uuid, disk.serial, scope, there);
  if (still && (*still || !there)) return {};
  return done;
}

Result<void> detach_definition(Services& s, const Uuid& uuid, const DiskDevice& disk, const std::string& xml) {
  bool there = false;
  CA_TRY(const bool has, has_disk(s, uuid, disk.serial, DeviceScope::kDefinition, there));
  if (!has) return {};
  auto done = s.hypervisor.detach_device(uuid, xml, DeviceScope::kDefinition);
  if (!done && done.error().code == Code::kNotFound) return {};
  return done;
}

// One request and the wait for what comes of it. True: the guest does not have it any more.
Result<bool> ask_guest(Services& s, const Uuid& uuid, const DiskDevice& disk, const std::string& xml) {
  DomainEvents::Waiter waiter(s.events, uuid, {Kind::kDeviceRemoved, Kind::kDeviceRemovalFailed, Kind::kStopped, Kind::kCrashed});
  bool running = false;
  CA_TRY(bool has, has_disk(s, uuid, disk.serial, DeviceScope::kLive, running));
  if (!has) return true;
  if (auto asked = s.hypervisor.detach_device(uuid, xml, DeviceScope::kLive); !asked) {
    if (asked.error().code == Code::kUnavailable) return tl::unexpected<Error>(std::move(asked).error());
    // QEMU refuses a second request while the first is open; the answer to that one still comes.
    spdlog::info("volume {} of {}: {}", disk.serial, uuid, asked.error().chain());
  }
  waiter.wait(std::chrono::seconds(s.config.device_detach_timeout));
  CA_TRY(has, has_disk(s, uuid, disk.serial, DeviceScope::kLive, running));
  return !has;
}

Result<void> detach_live(Services& s, const StepContext& ctx, const DiskDevice& disk, const std::string& xml) {
  const Uuid& uuid = ctx.instance().uuid;
  for (std::int64_t attempt = 0; attempt < s.config.device_detach_attempts; ++attempt) {
    if (attempt > 0) DomainEvents::Waiter(s.events, uuid, {}).wait(kBetweenAttempts);
    if (ctx.abandoned() || ctx.cancelled()) return fail(Code::kCancelled, "detaching was ended by a later order");
    CA_TRY(const bool gone, ask_guest(s, uuid, disk, xml));
    if (gone) return {};
  }
  return fail(Code::kTimeout,
              fmt::format("the guest did not let {} go, asked {} times with {} s each", disk.target, s.config.device_detach_attempts,
                          s.config.device_detach_timeout),
              "unmount it inside the guest, or stop the server, then detach it again");
}

}  // namespace

std::chrono::milliseconds detach_limit(const Config& config) {
  return config.device_detach_attempts * (std::chrono::seconds(config.device_detach_timeout) + kBetweenAttempts) + std::chrono::seconds(90);
}

Result<void> attach_disk(Services& s, const StepContext& ctx, const DiskDevice& disk) {
  const Instance& instance = ctx.instance();
  CA_TRY(const std::string xml, disk_device_xml(disk, instance.flavor, instance.image));
  CA_TRY_VOID(attach_there(s, instance.uuid, disk, xml, DeviceScope::kDefinition));
  if (ctx.abandoned()) return fail(Code::kCancelled, "the attempt took too long");
  return attach_there(s, instance.uuid, disk, xml, DeviceScope::kLive);
}

Result<void> detach_disk(Services& s, const StepContext& ctx, const DiskDevice& disk) {
  const Instance& instance = ctx.instance();
  CA_TRY(const std::string xml, disk_device_xml(disk, instance.flavor, instance.image));
  CA_TRY_VOID(detach_definition(s, instance.uuid, disk, xml));
  auto gone = detach_live(s, ctx, disk, xml);
  if (gone || gone.error().code == Code::kUnavailable || ctx.abandoned()) return gone;
  // It keeps the disk, so its next start must have it, too.
  if (auto back = attach_there(s, instance.uuid, disk, xml, DeviceScope::kDefinition); !back) {
    spdlog::warn("the definition of {} could not be given {} back: {}", instance.uuid, disk.target, back.error().chain());
  }
  return gone;
}

Result<void> resize_disk(Services& s, const Uuid& instance, const std::string& serial, std::int64_t bytes) {
  bool running = false;
  CA_TRY(const bool has, has_disk(s, instance, serial, DeviceScope::kLive, running));
  if (!has) return {};
  CA_TRY(const std::string xml, s.hypervisor.domain_xml(instance));
  CA_TRY(const std::string target, disk_target(xml, serial));
  auto done = s.hypervisor.block_resize(instance, target, bytes);
  if (!done && done.error().code == Code::kConflict) {
    CA_TRY(const bool still, has_disk(s, instance, serial, DeviceScope::kLive, running));
    if (!still) return {};
  }
  return done;
}

}  // namespace ca
