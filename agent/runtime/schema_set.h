#pragma once
// JSON Schema checks (draft 7, by valijson) of messages, records and REST bodies. Schemas are compiled when first used.

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "agent/core/error.h"

namespace ca {

class SchemaSet {
 public:
  SchemaSet();
  ~SchemaSet();
  SchemaSet(const SchemaSet&) = delete;
  SchemaSet& operator=(const SchemaSet&) = delete;

  [[nodiscard]] bool has(const std::string& name) const;  // "messages/start_instance"
  // kInvalid: "<where>: <what>" of the first few violations. kInternal: no schema of that name.
  Result<void> check(const std::string& name, const nlohmann::json& document);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Parses untrusted JSON: bounded size and depth (64), UTF-8, no duplicate surprises. kInvalid / kTooLarge.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text, std::size_t max_bytes);

}  // namespace ca
