#pragma once
// One thread that runs libvirt's default event loop. Keepalive, close and domain callbacks happen here, and so does what is posted.

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ca::lv {

class EventLoop {
 public:
  EventLoop() = default;
  ~EventLoop() { stop(); }
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void start();
  // Runs what was posted before, then ends the thread. Not from the loop's own thread.
  void stop();
  // Dropped when the loop is not running. From any thread.
  void post(std::function<void()> task);

 private:
  void run();
  void drain();

  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  int timer_ = -1;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ca::lv
