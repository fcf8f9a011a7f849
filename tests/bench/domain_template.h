#pragma once
// The agent's own domain XML, made ready for other instances.

#include <string>

namespace ca::bench {

// The XML of a domain with its uuid and name replaced wherever they stand, paths included.
class DomainTemplate {
 public:
  // Throws std::runtime_error when the XML names no uuid or no name.
  explicit DomainTemplate(std::string xml);
  [[nodiscard]] std::string for_domain(const std::string& uuid, const std::string& name) const;

 private:
  std::string xml_;
  std::string uuid_;
  std::string name_;
};

}  // namespace ca::bench
