#pragma once
// The schema and SQL files, compiled in. Names are paths below schemas/: "messages/start_instance.json".

#include <span>
#include <string_view>

namespace ca {

struct EmbeddedFile {
  std::string_view name;
  std::string_view text;
};

[[nodiscard]] std::span<const EmbeddedFile> embedded_files();

}  // namespace ca
