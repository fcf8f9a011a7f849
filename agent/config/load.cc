#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>

#include "agent/config/ini.h"
#include "agent/config/nearest.h"
#include "agent/config/options.h"

namespace ca {
namespace {

constexpr std::size_t kMaxNameBytes = 128;  // of an option; longer ones are not worth a suggestion
constexpr int kMaxDepth = 16;               // of options that refer to options

struct RawValue {
  std::string text;
  std::string origin;  // "file:12" or "command line"
};

std::string full_name(std::string_view section, std::string_view name) { return fmt::format("[{}] {}", section, name); }
std::string full_name(const Option& option) { return full_name(option.section, option.name); }

// Text of a value in a message: short, on one line.
std::string shown(std::string text) {
  if (text.size() > 100) text = text.substr(0, 100) + "...";
  std::ranges::replace(text, '\n', ' ');
  return text;
}

const Option* find_option(std::string_view section, std::string_view name) {
  const auto found =
      std::ranges::find_if(option_table(), [&](const Option& option) { return option.section == section && option.name == name; });
  return found == option_table().end() ? nullptr : &*found;
}

const Option* find_old_name(std::string_view section, std::string_view name) {
  for (const Option& option : option_table()) {
    for (const OldName& old : option.old_names) {
      if (old.section == section && old.name == name) return &option;
    }
  }
  return nullptr;
}

bool is_known_section(std::string_view section) {
  return std::ranges::find(option_table(), section, &Option::section) != option_table().end();
}

// oslo.config takes section names in any case, but for DEFAULT.
std::string section_name(std::string section) {
  if (section == "DEFAULT") return section;
  std::ranges::transform(section, section.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return section;
}

// What an unknown option could have been meant to be.
std::string suggestion(std::string_view section, std::string_view name) {
  if (name.size() > kMaxNameBytes) return "no option has so long a name";
  std::vector<std::string_view> here;
  for (const Option& option : option_table()) {
    if (option.name == name) return fmt::format("it is known as {}", full_name(option));
    if (option.section == section) here.push_back(option.name);
  }
  return fmt::format("the nearest known name is '{}'", nearest(name, here));
}

// The section a mistyped one stands for; empty for sections of other services.
std::string_view mistyped_section(const std::string& section) {
  if (section.size() > kMaxNameBytes) return {};
  if (section == "default") return "DEFAULT";
  for (const Option& option : option_table()) {
    if (edit_distance(section, option.section) == 1) return option.section;
  }
  return {};
}

Result<std::string> read_file(const std::string& path) {
  const auto action = "give an existing, readable configuration file";
  struct Fd {
    int number;
    ~Fd() {
      if (number >= 0) ::close(number);
    }
  };
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (fd.number < 0) return wrap(fail_errno(errno, path).value(), "cannot open configuration file " + path, action);
  struct stat facts {};
  if (::fstat(fd.number, &facts) != 0) return fail_errno(errno, "cannot look at configuration file " + path);
  if (!S_ISREG(facts.st_mode)) return fail(Code::kInvalid, "configuration file " + path + " is not a regular file", action);
  std::string text(kMaxIniBytes + 1, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(fd.number, text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read configuration file " + path);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  return text;
}

class Loader {
 public:
  Result<void> file(const std::string& path) {
    CA_TRY(const std::string text, read_file(path));
    CA_TRY(const IniText ini, parse_ini(text, path));
    for (const IniSection& section : ini.sections) {
      const std::string name = section_name(section.name);
      if (is_known_section(name)) continue;
      if (const auto meant = mistyped_section(name); !meant.empty()) {
        warnings_.push_back(
            fmt::format("{}:{}: section [{}] is not known and is ignored; did you mean [{}]?", path, section.line, section.name, meant));
      }
    }
    // A value under an old name counts only where the file has none under the new one.
    for (const bool old_names : {true, false}) {
      for (const IniEntry& entry : ini.entries) take(entry, fmt::format("{}:{}", path, entry.line), old_names);
    }
    return {};
  }

  Result<void> override_with(const std::string& text) {
    const auto sign = text.find('=');
    const auto dot = text.find('.');
    if (sign == std::string::npos || dot == std::string::npos || dot > sign) {
      return fail(Code::kInvalid, fmt::format("command line: '{}' is not section.name=value", shown(text)),
                  "write it as section.name=value, for example DEFAULT.debug=true");
    }
    const std::string section = section_name(text.substr(0, dot));
    const std::string name = text.substr(dot + 1, sign - dot - 1);
    const Option* option = find_option(section, name);
    if (option == nullptr) option = find_old_name(section, name);
    if (option == nullptr) {
      const std::string hint = is_known_section(section) ? suggestion(section, name) : "no option is in that section";
      return fail(Code::kInvalid, fmt::format("command line: unknown option {}: {}", shown(full_name(section, name)), hint),
                  "use a name that --print-config shows");
    }
    values_[option] = {text.substr(sign + 1), "command line"};
    return {};
  }

  Result<LoadedConfig> done() {
    LoadedConfig loaded;
    for (const Option& option : option_table()) {
      CA_TRY(const std::string text, resolved(option, 0));
      if (const auto allowed = set_option(option, text, loaded.config)) {
        return fail(Code::kInvalid,
                    fmt::format("{}: {} = '{}' is not allowed: it must be {}", origin(option), full_name(option), shown(text), *allowed),
                    fmt::format("correct {} at {}", full_name(option), origin(option)));
      }
    }
    CA_TRY_VOID(check_together(loaded.config));
    for (const Option& option : option_table()) {
      loaded.effective.push_back({std::string(option.section), std::string(option.name), option_text(option, loaded.config), origin(option),
                                  std::string(option.help)});
    }
    loaded.warnings = std::move(warnings_);
    return loaded;
  }

 private:
  void take(const IniEntry& entry, const std::string& where, bool old_names) {
    const std::string section = section_name(entry.section);
    const Option* option = find_option(section, entry.key);
    const Option* renamed = option == nullptr ? find_old_name(section, entry.key) : nullptr;
    if (old_names) {
      if (renamed == nullptr) return;
      values_[renamed] = {entry.value, where};
      warnings_.push_back(
          fmt::format("{}: {} is the old name of {}; use the new one", where, full_name(section, entry.key), full_name(*renamed)));
      return;
    }
    if (option != nullptr) {
      values_[option] = {entry.value, where};
    } else if (renamed == nullptr && is_known_section(section)) {
      const std::string reason = is_unused_nova_option(section, entry.key) ? "is an option of nova that this agent does not use"
                                                                           : "is not known: " + suggestion(section, entry.key);
      warnings_.push_back(fmt::format("{}: option {} {}", where, shown(full_name(section, entry.key)), reason));
    }
  }

  [[nodiscard]] std::string origin(const Option& option) const {
    const auto given = values_.find(&option);
    return given == values_.end() ? "default" : given->second.origin;
  }

  // The option's text with every $name in it replaced. Texts of this host (host name, address) are taken as they are.
  Result<std::string> resolved(const Option& option, int depth) const {
    const auto given = values_.find(&option);
    if (given == values_.end() && option.default_of_host != nullptr) return option.default_of_host();
    return substituted(option, given == values_.end() ? std::string(option.default_text) : given->second.text, depth);
  }

  // oslo.config's substitution: $name, ${name}, ${section.name}; "$$" is a dollar sign.
  Result<std::string> substituted(const Option& option, const std::string& text, int depth) const {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] != '$') {
        out += text[at];
        continue;
      }
      if (text.compare(at, 2, "$$") == 0) {
        out += text[at++];
        continue;
      }
      const bool braces = text.compare(at, 2, "${") == 0;
      const std::size_t start = at + (braces ? 2 : 1);
      std::size_t end = start;
      while (end < text.size() && (text[end] == '_' || text[end] == '.' || (text[end] >= 'a' && text[end] <= 'z') ||
                                   (text[end] >= 'A' && text[end] <= 'Z') || (text[end] >= '0' && text[end] <= '9'))) {
        ++end;
      }
      const std::string name = text.substr(start, end - start);
      const Option* target = referred(option, name);
      if (target == nullptr || (braces && (end == text.size() || text[end] != '}'))) {
        return fail(
            Code::kInvalid,
            fmt::format("{}: {} = '{}' refers to '${}', which is no option", origin(option), full_name(option), shown(text), shown(name)),
            "refer to a known option as $name or ${section.name}, and write a dollar sign as $$");
      }
      if (depth == kMaxDepth) {
        return fail(Code::kInvalid, fmt::format("{}: {} refers to itself", origin(option), full_name(option)),
                    "break the circle of options that refer to each other");
      }
      CA_TRY(const std::string value, resolved(*target, depth + 1));
      if (out.size() + value.size() > kMaxIniBytes) {
        return fail(Code::kTooLarge, fmt::format("{}: {} grows too large", origin(option), full_name(option)));
      }
      out += value;
      at = braces ? end : end - 1;
    }
    return out;
  }

  // A name is looked up in the option's own section, then in [DEFAULT].
  static const Option* referred(const Option& option, const std::string& name) {
    if (const auto dot = name.find('.'); dot != std::string::npos) {
      return find_option(section_name(name.substr(0, dot)), name.substr(dot + 1));
    }
    const Option* here = find_option(option.section, name);
    return here != nullptr ? here : find_option("DEFAULT", name);
  }

  Result<void> refuse_pair(std::string_view a, std::string_view b, const std::string& reason) const {
    const Option& first = *find_option("libvirt", a);
    const Option& second = *find_option("libvirt", b);
    return fail(
        Code::kInvalid,
        fmt::format("{} ({}) and {} ({}) do not fit: {}", full_name(first), origin(first), full_name(second), origin(second), reason),
        "correct one of the two");
  }

  // nova's rules (virt/libvirt/driver.py, _check_cpu_compatibility).
  Result<void> check_together(const Config& config) const {
    if (config.cpu_mode == "custom" && config.cpu_models.empty()) {
      return refuse_pair("cpu_mode", "cpu_models", "cpu_mode = custom needs at least one model in cpu_models");
    }
    if (config.cpu_mode != "custom" && !config.cpu_models.empty()) {
      return refuse_pair("cpu_mode", "cpu_models", "cpu_models is only allowed with cpu_mode = custom");
    }
    if (config.cpu_mode == "none" && !config.cpu_model_extra_flags.empty()) {
      return refuse_pair("cpu_mode", "cpu_model_extra_flags", "flags need a CPU mode other than none");
    }
    if (config.rbd_user.empty() != config.rbd_secret_uuid.empty()) {
      return refuse_pair("rbd_user", "rbd_secret_uuid",
                         "a Ceph user needs the UUID of libvirt's secret with its key (uuidgen makes one), and the secret a user");
    }
    if (!config.rbd_store_pool.empty() && config.images_type != "rbd") {
      return refuse_pair("images_type", "images_rbd_pool", "images in Ceph ([glance_store] rbd_store_pool) need images_type = rbd");
    }
    return {};
  }

  std::map<const Option*, RawValue> values_;
  std::vector<std::string> warnings_;
};

}  // namespace

Result<LoadedConfig> load_config(const std::vector<std::string>& files, const std::vector<std::string>& overrides) {
  Loader loader;
  for (const std::string& file : files) CA_TRY_VOID(loader.file(file));
  for (const std::string& text : overrides) CA_TRY_VOID(loader.override_with(text));
  return loader.done();
}

}  // namespace ca
