#include "drivers/hypervisor/libvirt/event_loop.h"

#include <libvirt/libvirt.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "drivers/hypervisor/libvirt/errors.h"

namespace ca::lv {
namespace {

// libvirt keeps its event implementation for the whole process and wants it registered before the first connection.
bool prepare_process() {
  static const bool ready = [] {
    silence_default_handler();
    return virInitialize() == 0 && virEventRegisterDefaultImpl() == 0;
  }();
  return ready;
}

}  // namespace

void EventLoop::start() {
  if (thread_.joinable()) return;
  if (!prepare_process()) {
    spdlog::error("libvirt's event loop cannot be set up: {}", last_error().message);
    return;
  }
  stopping_ = false;
  timer_ = virEventAddTimeout(
      -1, [](int, void* self) { static_cast<EventLoop*>(self)->drain(); }, this, nullptr);
  thread_ = std::thread([this] { run(); });
}

void EventLoop::stop() {
  if (!thread_.joinable()) return;
  // The timer removes itself while it is dispatched, so that libvirt frees it in the same round.
  post([this] {
    virEventRemoveTimeout(timer_);
    stopping_ = true;
  });
  thread_.join();
  const std::lock_guard lock(mutex_);
  timer_ = -1;
  tasks_.clear();
}

void EventLoop::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (timer_ < 0) return;
  tasks_.push_back(std::move(task));
  virEventUpdateTimeout(timer_, 0);
}

void EventLoop::run() {
  while (!stopping_) {
    if (virEventRunDefaultImpl() < 0) {
      spdlog::error("libvirt's event loop: {}", last_error().message);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
}

void EventLoop::drain() {
  std::vector<std::function<void()>> now;
  {
    const std::lock_guard lock(mutex_);
    virEventUpdateTimeout(timer_, -1);
    now.swap(tasks_);
  }
  for (const auto& task : now) task();
}

}  // namespace ca::lv
