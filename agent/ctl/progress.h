#pragma once
// One line on a terminal that keeps changing; silent elsewhere.

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace ca::ctl {

class ProgressLine {
 public:
  ProgressLine(std::ostream& err, bool on_terminal) : err_(err), on_terminal_(on_terminal) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Replaces the line. Nothing is written when the text stays the same.
  void show(std::string_view text);
  // Removes the line, so that what follows starts on an empty one.
  void clear();

 private:
  std::ostream& err_;
  bool on_terminal_;
  std::string shown_;
};

// Bytes moved, as a bar with size and rate: "[=====>    ]  52% 156M/300M 85.2M/s". Off a terminal, when asked for, one line for each
// tenth.
class TransferBar {
 public:
  TransferBar(std::ostream& err, bool on_terminal, bool always, std::optional<std::uint64_t> total);

  void moved(std::uint64_t bytes);

 private:
  [[nodiscard]] std::string text() const;

  std::ostream& err_;
  bool on_terminal_;
  bool always_;
  std::optional<std::uint64_t> total_;
  ProgressLine line_;
  std::uint64_t done_ = 0;
  std::uint64_t tenths_ = 0;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace ca::ctl
