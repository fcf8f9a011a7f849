#pragma once
// Copies of disk images: by reflink where the file system can, else data only, with holes kept and long runs
// of zeros made holes.

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "agent/core/error.h"

namespace ca {

// Sees every byte of the copy in order, holes as zeros.
using ByteSink = std::function<void(std::span<const std::byte>)>;

// Copies `size` bytes of `from` into the empty file `to` and sets its length. `sink` may be empty.
// What the sink sees is what the copy holds, even when somebody writes to `from` meanwhile.
[[nodiscard]] Result<void> sparse_copy(int from, const std::string& from_path, int to, const std::string& to_path, std::int64_t size,
                                       const ByteSink& sink = {});

// Every byte of a file in order, holes as zeros.
[[nodiscard]] Result<void> read_through(int fd, const std::string& path, std::int64_t size, const ByteSink& sink);

}  // namespace ca
