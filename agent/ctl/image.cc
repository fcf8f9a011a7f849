#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "agent/ctl/format/python_text.h"
#include "agent/ctl/image_internal.h"
#include "agent/ctl/resolve.h"
#include "agent/ctl/text.h"

namespace ca::ctl {
namespace {

constexpr std::string_view kImportMethods = "web-download";
constexpr std::string_view kDiskFormats = "ami ari aki vhd vmdk raw qcow2 vhdx vdi iso ploop";
constexpr std::string_view kContainerFormats = "ami ari aki bare docker ova ovf";

// "name:asc,size:desc", the first key having priority.
void sort_images(std::vector<Json>& images, const std::string& order) {
  std::vector<std::string> keys;
  for (std::size_t at = 0; at <= order.size();) {
    const std::size_t comma = std::min(order.find(',', at), order.size());
    keys.push_back(order.substr(at, comma - at));
    at = comma + 1;
  }
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    const std::string name = key->substr(0, key->find(':'));
    const bool down = key->ends_with(":desc");
    std::stable_sort(images.begin(), images.end(), [&](const Json& a, const Json& b) {
      const Json left = member_or_empty(a, name);
      const Json right = member_or_empty(b, name);
      return down ? right < left : left < right;
    });
  }
}

std::string sort_problem(const std::string& order) {
  for (std::size_t at = 0; at <= order.size();) {
    const std::size_t comma = std::min(order.find(',', at), order.size());
    const std::string key = order.substr(at, comma - at);
    const std::size_t colon = key.find(':');
    if (key.empty() || colon == 0) return "'<empty string>' is not a valid sort key";
    if (colon != std::string::npos && key.substr(colon) != ":asc" && key.substr(colon) != ":desc") {
      return "'" + key.substr(colon + 1) + "' is not a valid sort direction for sort key " + key.substr(0, colon) +
             ", use 'asc' or 'desc' instead";
    }
    at = comma + 1;
  }
  return {};
}

Result<Output> run_image_list(Context& context, const Args& args) {
  Query query;
  std::string visibility = visibility_of(args);
  if (args.has("all")) visibility = "all";
  if (!visibility.empty()) query.emplace_back("visibility", visibility);
  for (const std::string_view name : {"name", "status", "limit"}) {
    if (const auto value = args.get(name)) query.emplace_back(name, *value);
  }
  for (const std::string& tag : args.all("tag")) query.emplace_back("tag", tag);
  if (args.has("hidden")) query.emplace_back("os_hidden", "true");
  if (const auto marker = args.get("marker")) {
    CA_TRY(const Json image, find_image(context.api, *marker));
    query.emplace_back("marker", text_member(image, "id"));
  }
  CA_TRY(auto images, context.api.list({.service = Service::kImage, .path = "/images", .query = query}, "images"));
  for (const auto& [key, value] : args.pairs("property")) {
    std::erase_if(images, [&key = key, &value = value](const Json& image) { return text_member(image, key) != value; });
  }
  sort_images(images, args.text("sort", "name:asc"));
  std::vector<ColumnOf> columns{{"ID", "id"}, {"Name", "name"}};
  if (args.has("long")) {
    columns.insert(columns.end(),
                   {{"Disk Format", "disk_format"}, {"Container Format", "container_format"}, {"Size", "size"}, {"Checksum", "checksum"}});
  }
  columns.push_back({"Status", "status"});
  if (args.has("long")) {
    columns.insert(columns.end(),
                   {{"Visibility", "visibility"}, {"Protected", "protected"}, {"Project", "owner"}, {"Tags", "tags", &list_cell}});
  }
  return Output(listing_of(columns, images));
}

Result<Output> run_image_show(Context& context, const Args& args) {
  CA_TRY(const Json image, find_image(context.api, args.text("<image>")));
  return Output(image_details(image, args.has("human-readable")));
}

Result<Output> run_image_delete(Context& context, const Args& args) {
  return for_each_name(context, args.all("<image>"), "delete", "image", [&](const std::string& name) -> Result<void> {
    CA_TRY(const Json image, find_image(context.api, name));
    CA_TRY_VOID(
        context.api.send({.method = "DELETE", .service = Service::kImage, .path = "/images/" + percent_encode(text_member(image, "id"))}));
    return {};
  });
}

std::string pointer_to(const std::string& member) {
  std::string out = "/";
  for (const char c : member) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

void add_change(Json& patch, const Json& image, const std::string& member, Json value) {
  patch.push_back({{"op", image.contains(member) ? "replace" : "add"}, {"path", pointer_to(member)}, {"value", std::move(value)}});
}

Result<void> send_patch(Api& api, const Json& image, Json patch) {
  if (patch.empty()) return {};
  CA_TRY_VOID(api.send({.method = "PATCH",
                        .service = Service::kImage,
                        .path = "/images/" + percent_encode(text_member(image, "id")),
                        .body = std::move(patch),
                        .content_type = "application/openstack-images-v2.1-json-patch"}));
  return {};
}

Result<Output> run_image_set(Context& context, const Args& args) {
  CA_TRY(const Json image, find_image(context.api, args.text("<image>")));
  Json patch = Json::array();
  constexpr std::array<std::pair<std::string_view, const char*>, 9> kTexts{{{"name", "name"},
                                                                            {"container-format", "container_format"},
                                                                            {"disk-format", "disk_format"},
                                                                            {"architecture", "architecture"},
                                                                            {"kernel-id", "kernel_id"},
                                                                            {"os-distro", "os_distro"},
                                                                            {"os-version", "os_version"},
                                                                            {"ramdisk-id", "ramdisk_id"},
                                                                            {"instance-id", "instance_id"}}};
  for (const auto& [option, member] : kTexts) {
    if (const auto value = args.get(option)) add_change(patch, image, member, *value);
  }
  if (const auto value = args.number("min-disk")) add_change(patch, image, "min_disk", *value);
  if (const auto value = args.number("min-ram")) add_change(patch, image, "min_ram", *value);
  if (args.has("protected") || args.has("unprotected")) add_change(patch, image, "protected", args.has("protected"));
  if (args.has("hidden") || args.has("unhidden")) add_change(patch, image, "os_hidden", args.has("hidden"));
  if (const std::string visibility = visibility_of(args); !visibility.empty()) add_change(patch, image, "visibility", visibility);
  if (args.has("tag")) {
    std::set<std::string> tags;
    for (const Json& tag : array_member(image, "tags")) tags.insert(python_str(tag));
    for (const std::string& tag : args.all("tag")) tags.insert(tag);
    add_change(patch, image, "tags", tags);
  }
  for (const auto& [key, value] : args.pairs("property")) add_change(patch, image, key, value);
  CA_TRY_VOID(send_patch(context.api, image, std::move(patch)));
  return Output{};
}

Result<Output> run_image_unset(Context& context, const Args& args) {
  CA_TRY(const Json image, find_image(context.api, args.text("<image>")));
  Json patch = Json::array();
  std::set<std::string> tags;
  for (const Json& tag : array_member(image, "tags")) tags.insert(python_str(tag));
  for (const std::string& tag : args.all("tag")) {
    if (tags.erase(tag) == 0) return fail(Code::kNotFound, "the image has no tag '" + tag + "'", "see its tags: computectl image show");
  }
  if (args.has("tag")) add_change(patch, image, "tags", tags);
  for (const std::string& key : args.all("property")) {
    if (!image.contains(key))
      return fail(Code::kNotFound, "the image has no property '" + key + "'", "see its properties: computectl image show");
    patch.push_back({{"op", "remove"}, {"path", pointer_to(key)}});
  }
  CA_TRY_VOID(send_patch(context.api, image, std::move(patch)));
  return Output{};
}

constexpr Positional kNewImage[] = {{.name = "<image-name>", .help = "New image name"}};
constexpr Positional kImage[] = {{.name = "<image>", .help = "Image (name or ID)"}};
constexpr Positional kImages[] = {{.name = "<image>", .help = "Image(s) (name or ID)", .many = true}};

#define CTL_VISIBILITY_OPTIONS                                                                               \
  {.names = "--public", .help = "Image is accessible to all projects", .exclusive = "visibility"},           \
      {.names = "--private", .help = "Image is accessible to its project alone", .exclusive = "visibility"}, \
      {.names = "--community", .help = "Image is accessible to the community", .exclusive = "visibility"}, { \
    .names = "--shared", .help = "Image can be shared", .exclusive = "visibility"                            \
  }
#define CTL_IMAGE_OPTIONS                                                                                                          \
  {.names = "--container-format",                                                                                                  \
   .metavar = "<container-format>",                                                                                                \
   .help = "Image container format; default bare",                                                                                 \
   .choices = kContainerFormats},                                                                                                  \
      {.names = "--disk-format", .metavar = "<disk-format>", .help = "Image disk format; default raw", .choices = kDiskFormats},   \
      {.names = "--min-disk",                                                                                                      \
       .metavar = "<disk-gb>",                                                                                                     \
       .help = "Minimum disk size needed to boot image, in gigabytes",                                                             \
       .type = ArgType::kNotNegative},                                                                                             \
      {.names = "--min-ram",                                                                                                       \
       .metavar = "<ram-mb>",                                                                                                      \
       .help = "Minimum RAM size needed to boot image, in megabytes",                                                              \
       .type = ArgType::kNotNegative},                                                                                             \
      {.names = "--protected", .help = "Prevent image from being deleted", .exclusive = "protected"},                              \
      {.names = "--unprotected", .help = "Allow image to be deleted (default)", .exclusive = "protected"}, CTL_VISIBILITY_OPTIONS, \
      {.names = "--property",                                                                                                      \
       .metavar = "<key=value>",                                                                                                   \
       .help = "Set a property on this image (repeat option to set multiple properties)",                                          \
       .type = ArgType::kKeyValue,                                                                                                 \
       .repeat = true},                                                                                                            \
  {                                                                                                                                \
    .names = "--tag", .metavar = "<tag>", .help = "Set a tag on this image (repeat option to set multiple tags)", .repeat = true   \
  }

constexpr Option kCreateOptions[] = {
    {.names = "--id", .metavar = "<id>", .help = "Image ID to reserve"},
    {.names = "--file", .metavar = "<file>", .help = "Upload image from local file; - or none: what standard input is redirected from"},
    {.names = "--progress", .help = "Show upload progress also when standard error is no terminal"},
    CTL_IMAGE_OPTIONS,
};
constexpr Option kImportOptions[] = {
    {.names = "--method",
     .metavar = "<method>",
     .help = "Import method; web-download, the default, is the only one",
     .choices = kImportMethods},
    {.names = "--uri", .metavar = "<uri>", .help = "URL of the image: http or https"},
    {.names = "--checksum", .metavar = "<algorithm:hex>", .help = "What the image must hash to: md5, sha1, sha256 or sha512"},
    {.names = "--wait", .help = "Wait until the image is imported"},
};
constexpr Option kSetOptions[] = {
    {.names = "--name", .metavar = "<name>", .help = "New image name"},
    CTL_IMAGE_OPTIONS,
    {.names = "--architecture", .metavar = "<architecture>", .help = "Operating system architecture"},
    {.names = "--instance-id", .metavar = "<instance-id>", .help = "ID of server instance used to create this image"},
    {.names = "--kernel-id", .metavar = "<kernel-id>", .help = "ID of kernel image used to boot this disk image"},
    {.names = "--os-distro", .metavar = "<os-distro>", .help = "Operating system distribution name"},
    {.names = "--os-version", .metavar = "<os-version>", .help = "Operating system distribution version"},
    {.names = "--ramdisk-id", .metavar = "<ramdisk-id>", .help = "ID of ramdisk image used to boot this disk image"},
    {.names = "--hidden", .help = "Hide the image", .exclusive = "hidden"},
    {.names = "--unhidden", .help = "Unhide the image", .exclusive = "hidden"},
};
constexpr Option kUnsetOptions[] = {
    {.names = "--tag", .metavar = "<tag>", .help = "Unset a tag on this image (repeat option for more)", .repeat = true},
    {.names = "--property", .metavar = "<property-key>", .help = "Unset a property on this image (repeat option for more)", .repeat = true},
};
constexpr Option kListOptions[] = {
    CTL_VISIBILITY_OPTIONS,
    {.names = "--all", .help = "List all images", .exclusive = "visibility"},
    {.names = "--property",
     .metavar = "<key=value>",
     .help = "Filter output based on property (repeat option for more)",
     .type = ArgType::kKeyValue,
     .repeat = true},
    {.names = "--name", .metavar = "<name>", .help = "Filter images based on name"},
    {.names = "--status", .metavar = "<status>", .help = "Filter images based on status"},
    {.names = "--tag", .metavar = "<tag>", .help = "Filter images based on tag (repeat option for more)", .repeat = true},
    {.names = "--hidden", .help = "List hidden images"},
    {.names = "--long", .help = "List additional fields in output"},
    {.names = "--sort",
     .metavar = "<key>[:<direction>]",
     .help = "Sort output by keys and directions (asc or desc), separated by comma; default name:asc",
     .check = &sort_problem},
    {.names = "--limit", .metavar = "<num-images>", .help = "Maximum number of images to display", .type = ArgType::kNotNegative},
    {.names = "--marker", .metavar = "<image>", .help = "The last image of the previous page (name or ID)"},
};
constexpr Option kShowOptions[] = {{.names = "--human-readable", .help = "Print image size in a human-friendly format"}};
constexpr Option kSaveOptions[] = {
    {.names = "--file", .metavar = "<filename>", .help = "Downloaded image save filename (default: stdout)"}};

#undef CTL_IMAGE_OPTIONS
#undef CTL_VISIBILITY_OPTIONS

constexpr Command kCommands[] = {
    {.name = "image create",
     .summary = "Create/upload an image",
     .description = "On a terminal a bar shows how far the upload is. An image whose upload fails is deleted again.",
     .positionals = kNewImage,
     .options = kCreateOptions,
     .display = Display::kShow,
     .example = "computectl image create --disk-format qcow2 --file demo.qcow2 --public demo",
     .run = &run_image_create},
    {.name = "image delete",
     .summary = "Delete image(s)",
     .positionals = kImages,
     .example = "computectl image delete demo",
     .run = &run_image_delete},
    {.name = "image import",
     .summary = "Initiate image import",
     .description = "The agent fetches the image itself. The image is made before: image create without --file reserves it.",
     .positionals = kImage,
     .options = kImportOptions,
     .display = Display::kShow,
     .example = "computectl image import --uri https://images.example.org/demo.qcow2 --checksum sha256:<hex> --wait demo",
     .run = &run_image_import},
    {.name = "image list",
     .summary = "List available images",
     .options = kListOptions,
     .display = Display::kList,
     .example = "computectl image list --long --sort size:desc",
     .run = &run_image_list},
    {.name = "image save",
     .summary = "Save an image locally",
     .positionals = kImage,
     .options = kSaveOptions,
     .example = "computectl image save --file demo.qcow2 demo",
     .run = &run_image_save},
    {.name = "image set",
     .summary = "Set image properties",
     .positionals = kImage,
     .options = kSetOptions,
     .example = "computectl image set --property hw_disk_bus=scsi --min-ram 256 demo",
     .run = &run_image_set},
    {.name = "image show",
     .summary = "Display image details",
     .positionals = kImage,
     .options = kShowOptions,
     .display = Display::kShow,
     .example = "computectl image show --human-readable demo",
     .run = &run_image_show},
    {.name = "image unset",
     .summary = "Unset image tags and properties",
     .positionals = kImage,
     .options = kUnsetOptions,
     .example = "computectl image unset --property hw_disk_bus demo",
     .run = &run_image_unset},
};

}  // namespace

std::string visibility_of(const Args& args) {
  for (const std::string_view name : {"public", "private", "community", "shared"}) {
    if (args.has(name)) return std::string(name);
  }
  return {};
}

Details image_details(const Json& image, bool human_readable) {
  const std::set<std::string> own{"status",     "name",       "container_format", "created_at", "size",  "disk_format",
                                  "updated_at", "visibility", "min_disk",         "protected",  "id",    "file",
                                  "checksum",   "owner",      "virtual_size",     "min_ram",    "schema"};
  std::map<std::string, Cell> cells;
  Json properties = Json::object();
  for (const auto& [name, value] : image.items()) {
    if (value.is_null() || name == "tags" || name == "self" || name == "locations" || name == "direct_url") continue;
    if (own.contains(name)) {
      cells[name] = plain_cell(value);
    } else {
      properties[name] = value;
    }
  }
  const Json size = member_or_empty(image, "size");
  if (human_readable && size.is_number()) cells["size"] = plain_cell(human_size(size.get<double>()));
  cells["tags"] = list_cell(member_or_empty(image, "tags"));
  if (!properties.empty()) cells["properties"] = dict_cell(std::move(properties));
  Details details;
  for (auto& [name, cell] : cells) details.add(name, std::move(cell));
  return details;
}

std::span<const Command> image_commands() { return kCommands; }

}  // namespace ca::ctl
