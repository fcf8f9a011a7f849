#pragma once
// The helper as a process with which calls are made.

#include <sys/types.h>

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "drivers/disk/rbd/wire.h"
#include "drivers/files/unique_fd.h"

namespace ca::rbd {

// One life of the helper.
class HelperProcess {
 public:
  // kUnavailable, kInvalid.
  static Result<std::shared_ptr<HelperProcess>> start(const std::string& program, const RbdOptions& options);
  HelperProcess(UniqueFd socket, pid_t pid);
  ~HelperProcess();
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;

  // kUnavailable when there is no answer in time, or the helper ended.
  Result<Json> call(const std::string& name, Json args, std::chrono::seconds limit);
  [[nodiscard]] bool ended();

 private:
  Result<void> greet(const RbdOptions& options);
  void read_answers();

  UniqueFd socket_;
  pid_t pid_;
  LineReader reader_;
  std::mutex writing_;
  std::mutex mutex_;  // guards what follows
  bool ended_ = false;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, std::promise<Result<Json>>> waiting_;
  std::thread reader_thread_;
};

// The helper, started when it is needed.
class Helper {
 public:
  Helper(std::string program, RbdOptions options) : program_(std::move(program)), options_(std::move(options)) {}
  Result<Json> call(const std::string& name, Json args, std::chrono::seconds limit);
  [[nodiscard]] const RbdOptions& options() const { return options_; }

 private:
  Result<std::shared_ptr<HelperProcess>> process();

  const std::string program_;
  const RbdOptions options_;
  std::mutex starting_;
  std::shared_ptr<HelperProcess> process_;
};

}  // namespace ca::rbd
