#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <sstream>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/server_internal.h"
#include "agent/ctl/text.h"
#include "agent/ctl/wait.h"

namespace ca::ctl {
namespace {

// The Compute API's bound on base64 text is 65535.
constexpr std::size_t kMaxUserData = 65535 / 4 * 3;

using Nic = std::map<std::string, std::string>;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t n) { return i + n < bytes.size() ? static_cast<unsigned char>(bytes[i + n]) : 0U; };
    const unsigned group = byte(0) << 16U | byte(1) << 8U | byte(2);
    out += kDigits[group >> 18U & 63U];
    out += kDigits[group >> 12U & 63U];
    out += i + 1 < bytes.size() ? kDigits[group >> 6U & 63U] : '=';
    out += i + 2 < bytes.size() ? kDigits[group & 63U] : '=';
  }
  return out;
}

Result<Json> nic_json(Api& api, const std::string& option, const std::string& value) {
  Nic nic;
  if (option == "network") nic["net-id"] = value;
  if (option == "port") nic["port-id"] = value;
  if (option == "nic") {
    for (const std::string& part : split(value, ',')) nic[part.substr(0, part.find('='))] = part.substr(part.find('=') + 1);
  }
  Json json = Json::object();
  if (nic.contains("net-id")) {
    CA_TRY(const Json network, find_network(api, nic["net-id"]));
    json["uuid"] = text_member(network, "id");
  }
  if (nic.contains("port-id")) {
    CA_TRY(const Json port, find_port(api, nic["port-id"]));
    json["port"] = text_member(port, "id");
  }
  for (const char* fixed : {"v4-fixed-ip", "v6-fixed-ip"}) {
    if (nic.contains(fixed)) json["fixed_ip"] = nic[fixed];
  }
  if (nic.contains("tag")) json["tag"] = nic["tag"];
  return json;
}

// "auto", "none", or a list in the order in which --network, --port and --nic were given.
Result<Json> networks(Api& api, const Args& args) {
  Json nics = Json::array();
  std::string special;
  std::size_t count = 0;
  for (const Args::Given& given : args.given()) {
    if (given.name != "network" && given.name != "port" && given.name != "nic") continue;
    ++count;
    if (given.value == "auto" || given.value == "none") {
      special = given.value;
    } else {
      CA_TRY(Json nic, nic_json(api, given.name, given.value));
      nics.push_back(std::move(nic));
    }
  }
  if (!special.empty() && count > 1) {
    return fail(Code::kInvalid, "Specifying a --nic of auto or none cannot be used with any other --nic, --network or --port value.",
                "give either --nic " + special + " alone, or the networks");
  }
  if (!special.empty()) return Json(special);
  return nics.empty() ? Json("auto") : nics;
}

Result<void> add_counts(Json& server, const Args& args) {
  const std::int64_t min = args.number("min").value_or(1);
  const std::int64_t max = args.number("max").value_or(std::max<std::int64_t>(min, 1));
  if (min < 1) return fail(Code::kInvalid, "min instances should be > 0", "give --min 1 or more");
  if (max < 1) return fail(Code::kInvalid, "max instances should be > 0", "give --max 1 or more");
  if (min > max) return fail(Code::kInvalid, "min instances should be <= max instances", "give --max at least as much as --min");
  server["min_count"] = min;
  server["max_count"] = max;
  return {};
}

// "size=1,format=ext4" in its parts.
std::map<std::string, std::string> ephemeral_parts(const std::string& value) {
  std::map<std::string, std::string> parts;
  for (const std::string& part : split(value, ',')) parts[part.substr(0, part.find('='))] = part.substr(part.find('=') + 1);
  return parts;
}

Json blank_disk(std::int64_t size, const std::string& format) {
  Json entry{
      {"source_type", "blank"}, {"destination_type", "local"}, {"boot_index", -1}, {"delete_on_termination", true}, {"volume_size", size}};
  if (!format.empty()) entry["guest_format"] = format;
  return entry;
}

void add_local_disks(Json& server, const Args& args) {
  Json mapping = Json::array();
  for (const std::string& value : args.all("ephemeral")) {
    const auto parts = ephemeral_parts(value);
    const auto format = parts.find("format");
    mapping.push_back(blank_disk(std::stoll(parts.at("size")), format == parts.end() ? "" : format->second));
  }
  if (const auto swap = args.number("swap")) mapping.push_back(blank_disk(*swap, "swap"));
  if (!mapping.empty()) server["block_device_mapping_v2"] = std::move(mapping);
}

Result<void> add_config_drive(Json& server, const Args& args) {
  if (args.has("use-config-drive")) server["config_drive"] = true;
  if (args.has("no-config-drive")) server["config_drive"] = false;
  const auto value = args.get("config-drive");
  if (!value) return {};
  const std::string word = lower(*value);
  const bool on = word == "true" || word == "1";
  if (!on && word != "false" && word != "0" && word != "none" && !word.empty()) {
    return fail(Code::kInvalid, "--config-drive '" + *value + "' is neither True nor False",
                "give --use-config-drive or --no-config-drive");
  }
  server["config_drive"] = on;
  return {};
}

Result<Json> request_body(Context& context, const Args& args) {
  Json server{{"name", args.text("<server-name>")}};
  if (const auto name = args.get("image")) {
    CA_TRY(const Json image, find_image(context.api, *name));
    server["imageRef"] = text_member(image, "id");
  }
  CA_TRY(const Json flavor, find_flavor(context.api, args.text("flavor")));
  server["flavorRef"] = text_member(flavor, "id");
  CA_TRY_VOID(add_counts(server, args));
  CA_TRY_VOID(add_config_drive(server, args));
  add_local_disks(server, args);
  CA_TRY_VOID(add_block_devices(context.api, server, args));
  if (const auto path = args.get("user-data")) {
    CA_TRY(server["user_data"], read_user_data(*path));
  }
  CA_TRY(server["networks"], networks(context.api, args));
  constexpr std::array<std::pair<std::string_view, const char*>, 5> kSame{{{"key-name", "key_name"},
                                                                           {"description", "description"},
                                                                           {"availability-zone", "availability_zone"},
                                                                           {"host", "host"},
                                                                           {"hostname", "hostname"}}};
  for (const auto& [option, member] : kSame) {
    if (const auto value = args.get(option)) server[member] = *value;
  }
  if (args.has("property")) server["metadata"] = object_of(args.pairs("property"));
  if (args.has("tag")) server["tags"] = args.all("tag");
  return Json{{"server", std::move(server)}};
}

// All servers of one order; only the first is in its answer.
Result<void> wait_for_all(Context& context, const Json& first) {
  const std::string reservation = text_member(first, "OS-EXT-SRV-ATTR:reservation_id");
  if (reservation.empty()) return {};
  CA_TRY(const auto servers, context.api.list({.path = "/servers/detail", .query = {{"reservation_id", reservation}}}, "servers"));
  for (const Json& server : servers) {
    if (text_member(server, "OS-EXT-SRV-ATTR:reservation_id") != reservation) continue;
    CA_TRY_VOID(wait_for_status(context, text_member(server, "id"), "ACTIVE"));
  }
  return {};
}

}  // namespace

Result<std::string> read_user_data(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(kMaxUserData + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file.is_open() || file.bad()) {
    return fail(Code::kIo, "Can't open '" + path + "'", "give --user-data a file that can be read");
  }
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > kMaxUserData) {
    return fail(Code::kTooLarge, "the user data in '" + path + "' is larger than " + std::to_string(kMaxUserData) + " bytes",
                "compress it, or let it fetch the rest");
  }
  return base64(content);
}

std::string nic_name_problem(const std::string& value) {
  const bool bad = value.find_first_of(",=") != std::string::npos;
  return bad ? "Invalid argument " + value + "; characters ',' and '=' are not allowed" : "";
}

std::string nic_problem(const std::string& value) {
  if (value == "auto" || value == "none") return {};
  Nic nic;
  for (const std::string& part : split(value, ',')) {
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const bool known = key == "net-id" || key == "port-id" || key == "v4-fixed-ip" || key == "v6-fixed-ip" || key == "tag";
    if (!known || equals == std::string::npos || equals + 1 == part.size()) {
      return "Invalid argument " + value +
             "; argument must be of form 'net-id=net-uuid,port-id=port-uuid,v4-fixed-ip=ip-addr,v6-fixed-ip=ip-addr,tag=tag'";
    }
    nic[key] = part.substr(equals + 1);
  }
  if (nic.contains("net-id") == nic.contains("port-id")) {
    return "Invalid argument " + value + "; either network or port should be specified but not both";
  }
  return {};
}

std::string ephemeral_problem(const std::string& value) {
  const std::string form = "Invalid argument " + value + "; argument must be of form 'size=<GiB>[,format=<format>]'";
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  bool sized = false;
  for (const std::string& part : split(value, ',')) {
    const std::string key = part.substr(0, part.find('=')), text = part.substr(std::min(part.size(), part.find('=')));
    if (text.size() < 2 || (key != "size" && key != "format")) return form;
    if (key != "size") continue;
    sized = text.size() < 8 && std::ranges::all_of(text.substr(1), digit) && text.find_first_not_of('0', 1) != std::string::npos;
    if (!sized) return form;
  }
  return sized ? "" : form;
}

Result<Output> run_server_create(Context& context, const Args& args) {
  CA_TRY(Json body, request_body(context, args));
  const bool several = body["server"]["max_count"] > 1;
  CA_TRY(const Json made, context.api.record({.method = "POST", .path = "/servers", .body = std::move(body)}, "server"));
  const std::string id = text_member(made, "id");
  Json server;
  if (args.has("wait")) {
    CA_TRY(server, wait_for_status(context, id, "ACTIVE"));
    if (several) CA_TRY_VOID(wait_for_all(context, server));
  } else {
    CA_TRY(server, context.api.record({.path = "/servers/" + percent_encode(id)}, "server"));
  }
  if (made.contains("adminPass")) server["adminPass"] = made["adminPass"];
  CA_TRY(Details details, server_details(context, std::move(server)));
  return Output(std::move(details));
}

}  // namespace ca::ctl
