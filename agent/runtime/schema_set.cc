#include "agent/runtime/schema_set.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "schemas/embedded.h"

namespace ca {
namespace {

constexpr int kDeepest = 64;
constexpr int kViolationsShown = 3;

std::string where(const std::vector<std::string>& context) {
  std::string path;
  for (const std::string& part : context) {
    if (part == "<root>") continue;
    // valijson writes ["member"] or [0].
    std::string name = part;
    if (name.size() > 2 && name.front() == '[') name = name.substr(1, name.size() - 2);
    if (name.size() > 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
    path += (path.empty() ? "" : ".") + name;
  }
  return path.empty() ? "document" : path;
}

}  // namespace

struct SchemaSet::Impl {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const valijson::Schema>> compiled;

  std::shared_ptr<const valijson::Schema> get(const std::string& name) {
    const std::lock_guard lock(mutex);
    if (const auto found = compiled.find(name); found != compiled.end()) return found->second;
    for (const EmbeddedFile& file : embedded_files()) {
      if (file.name != name + ".json") continue;
      auto schema = std::make_shared<valijson::Schema>();
      const nlohmann::json source = nlohmann::json::parse(file.text);
      valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
      parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(source), *schema);
      compiled.emplace(name, schema);
      return schema;
    }
    return nullptr;
  }
};

SchemaSet::SchemaSet() : impl_(std::make_unique<Impl>()) {}
SchemaSet::~SchemaSet() = default;

bool SchemaSet::has(const std::string& name) const {
  for (const EmbeddedFile& file : embedded_files()) {
    if (file.name == name + ".json") return true;
  }
  return false;
}

Result<void> SchemaSet::check(const std::string& name, const nlohmann::json& document) {
  const auto schema = impl_->get(name);
  if (!schema) return fail(Code::kInternal, "no schema " + name);
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  valijson::ValidationResults results;
  const valijson::adapters::NlohmannJsonAdapter target(document);
  try {
    if (validator.validate(*schema, target, &results)) return {};
  } catch (const std::exception& e) {  // std::regex gives up on some inputs
    return fail(Code::kInvalid, fmt::format("cannot be checked against {}: {}", name, e.what()));
  }
  // The deepest violations come first and tell most.
  std::string text;
  valijson::ValidationResults::Error error;
  for (int shown = 0; shown < kViolationsShown && results.popError(error); ++shown) {
    if (!text.empty()) text += "; ";
    text += where(error.context) + ": " + error.description;
  }
  return fail(Code::kInvalid, text.empty() ? "does not follow schema " + name : text);
}

Result<nlohmann::json> parse_json(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes) {
    return fail(Code::kTooLarge, fmt::format("{} bytes of JSON, at most {} are taken", text.size(), max_bytes));
  }
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > kDeepest) too_deep = true;
    return !too_deep;
  };
  try {
    nlohmann::json document = nlohmann::json::parse(text, watch);
    if (too_deep) return fail(Code::kInvalid, fmt::format("JSON is nested deeper than {}", kDeepest));
    return document;
  } catch (const nlohmann::json::exception& e) {
    if (too_deep) return fail(Code::kInvalid, fmt::format("JSON is nested deeper than {}", kDeepest));
    return fail(Code::kInvalid, fmt::format("not JSON: {}", e.what()));
  }
}

}  // namespace ca
