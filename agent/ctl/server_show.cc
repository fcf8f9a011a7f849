#include <map>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/server_internal.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

// "name (id)", or the id where the image is gone.
std::string image_text(Api& api, const Json& server) {
  const std::string id = text_member(member_or_empty(server, "image"), "id");
  if (id.empty()) return std::string(kBootedFromVolume);
  const auto image = api.json({.service = Service::kImage, .path = "/images/" + percent_encode(id)});
  return image ? text_member(*image, "name") + " (" + id + ")" : id;
}

// A fault as an error is printed: message, causes, what to do; then when and where.
Cell fault_cell(Json fault) {
  const Error error = error_of_object(fault, Code::kInternal);
  std::vector<std::string> lines{error.message};
  for (const Error* cause = error.cause.get(); cause != nullptr; cause = cause->cause.get()) lines.push_back("because: " + cause->message);
  if (!error.next_action.empty()) lines.push_back("what to do: " + error.next_action);
  Json rest = Json::object();
  for (const char* name : {"code", "created", "agent_code", "step"}) {
    if (fault.contains(name)) rest[name] = fault[name];
  }
  lines.push_back(*dict_cell(std::move(rest)).human);
  return human_cell(std::move(fault), join(lines, "\n"));
}

Cell cell_for(const std::string& name, const Json& value) {
  if (name == "OS-EXT-STS:power_state") return power_state_cell(value);
  if (name == "os-extended-volumes:volumes_attached" || name == "security_groups") return list_of_dicts_cell(value);
  if (name == "tags") return list_cell(value);
  if (name == "fault" && value.is_object()) return fault_cell(value);
  if (name == "flavor" || name == "metadata") return dict_cell(value);
  return plain_cell(value);
}

}  // namespace

Result<Details> server_details(Context& context, Json server) {
  const std::map<std::string, std::string> renamed{
      {"metadata", "properties"}, {"tenant_id", "project_id"}, {"os-extended-volumes:volumes_attached", "volumes_attached"}};
  std::map<std::string, Cell> cells;
  for (const auto& [name, value] : server.items()) {
    if (name == "links" || name == "addresses" || name == "image") continue;
    const auto other = renamed.find(name);
    cells[other == renamed.end() ? name : other->second] = cell_for(name, value);
  }
  cells["addresses"] = dict_of_lists_cell(addresses_by_network(server));
  cells["image"] = plain_cell(image_text(context.api, server));
  Details details;
  for (auto& [name, cell] : cells) details.add(name, std::move(cell));
  return details;
}

Result<Output> run_server_show(Context& context, const Args& args) {
  CA_TRY(Json server, find_server(context.api, args.text("<server>")));
  if (args.has("diagnostics")) {
    const std::string path = "/servers/" + percent_encode(text_member(server, "id")) + "/diagnostics";
    CA_TRY(const Json counters, context.api.json({.path = path}));
    Details details;
    for (const auto& [name, value] : counters.items()) details.add(name, value.is_array() ? list_of_dicts_cell(value) : plain_cell(value));
    return Output(std::move(details));
  }
  CA_TRY(Details details, server_details(context, std::move(server)));
  return Output(std::move(details));
}

}  // namespace ca::ctl
