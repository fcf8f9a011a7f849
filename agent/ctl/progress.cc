#include "agent/ctl/progress.h"

#include <algorithm>
#include <ostream>

#include "agent/ctl/text.h"

namespace ca::ctl {

void ProgressLine::show(std::string_view text) {
  if (!on_terminal_ || text == shown_) return;
  shown_ = std::string(text);
  err_ << "\r\x1b[K" << escape_controls(text) << std::flush;
}

void ProgressLine::clear() {
  if (shown_.empty()) return;
  shown_.clear();
  err_ << "\r\x1b[K" << std::flush;
}

TransferBar::TransferBar(std::ostream& err, bool on_terminal, bool always, std::optional<std::uint64_t> total)
    : err_(err),
      on_terminal_(on_terminal),
      always_(always),
      total_(total),
      line_(err, on_terminal),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_) {}

std::string TransferBar::text() const {
  constexpr std::size_t kBar = 30;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
  const double rate = static_cast<double>(done_) / std::max(passed.count(), 0.001);
  std::string text;
  if (total_ && *total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(*total_));
    const auto filled = static_cast<std::size_t>(share * kBar);
    std::string percent = std::to_string(static_cast<int>(share * 100)) + "%";
    percent.insert(0, 4 - std::min<std::size_t>(percent.size(), 4), ' ');
    text = "[" + std::string(filled, '=') + (filled < kBar ? ">" + std::string(kBar - filled - 1, ' ') : "") + "] " + percent + " ";
  }
  text += human_size(static_cast<double>(done_));
  if (total_) text += "/" + human_size(static_cast<double>(*total_));
  return text + " " + human_size(rate) + "/s";
}

void TransferBar::moved(std::uint64_t bytes) {
  done_ += bytes;
  const auto now = std::chrono::steady_clock::now();
  const bool complete = total_ && done_ >= *total_;
  if (on_terminal_ && (complete || now - drawn_ > std::chrono::milliseconds(100))) {
    drawn_ = now;
    line_.show(text());
  }
  if (!on_terminal_ && always_ && total_ && *total_ > 0) {
    const auto tenths = static_cast<std::uint64_t>(10.0 * static_cast<double>(done_) / static_cast<double>(*total_));
    if (tenths > tenths_) err_ << text() << '\n' << std::flush;
    tenths_ = std::max(tenths, tenths_);
  }
}

}  // namespace ca::ctl
