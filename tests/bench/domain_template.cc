#include "tests/bench/domain_template.h"

#include <stdexcept>

namespace ca::bench {
namespace {

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin);
  const std::size_t to = from == std::string::npos ? from : text.find(end, from);
  if (to == std::string::npos) throw std::runtime_error("the domain XML has no " + begin);
  return text.substr(from + begin.size(), to - from - begin.size());
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

}  // namespace

DomainTemplate::DomainTemplate(std::string xml)
    : xml_(std::move(xml)), uuid_(between(xml_, "<uuid>", "</uuid>")), name_(between(xml_, "<name>", "</name>")) {}

std::string DomainTemplate::for_domain(const std::string& uuid, const std::string& name) const {
  return replaced(replaced(xml_, uuid_, uuid), name_, name);
}

}  // namespace ca::bench
