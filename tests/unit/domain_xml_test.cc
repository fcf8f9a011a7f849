#include <gtest/gtest.h>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <pugixml.hpp>

#include "agent/domainxml/guest_options.h"
#include "tests/unit/guest_spec_json.h"

namespace ca {
namespace {

using test::guest_spec;
using test::read_data;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// ---- what nova wrote ----

// What libvirt adds to a live domain, or what differs on purpose. Dropped from both sides before they are compared.
struct AllowedDifference {
  const char* xpath;
  const char* reason;
};
constexpr AllowedDifference kAllowed[] = {
    {"//address", "libvirt places devices"},
    {"//controller[@type='pci' or @type='ide']", "libvirt adds the controllers that devices need"},
    {"//controller[@type='usb']/@model", "libvirt names the model it chose"},
    {"//input[@bus='ps2']", "libvirt adds PS/2 devices on x86"},
    {"//audio", "libvirt adds the default backend"},
    {"//vcpu/@placement", "libvirt's default"},
    {"//os/type/@machine", "libvirt expands the alias pc"},
    {"//cpu/@check", "libvirt's default for host-model"},
    {"//topology/@dies", "libvirt's default"},
    {"//graphics/@port", "libvirt shows -1 for autoport"},
    {"//graphics/listen", "libvirt repeats the attribute as an element"},
    {"//video/model/@heads", "libvirt's default"},
    {"//video/model/@primary", "libvirt's default"},
    {"//serial/target/@type", "libvirt's default on x86"},
    {"//serial/target/model", "libvirt's default on x86"},
    {"//nova:user/text()", "the agent knows users by id alone"},
    {"//nova:project/text()", "the agent knows projects by id alone"},
};

void drop_allowed(pugi::xml_document& document) {
  for (const AllowedDifference& allowed : kAllowed) {
    for (const pugi::xpath_node& hit : document.select_nodes(allowed.xpath)) {
      if (hit.attribute()) {
        hit.parent().remove_attribute(hit.attribute());
      } else {
        hit.parent().remove_child(hit.node());
      }
    }
  }
}

// One line per element, "path attributes text", children sorted: order of elements and attributes has no meaning here.
std::vector<std::string> meaning(const pugi::xml_node& node, const std::string& path = {}) {
  std::vector<std::string> attributes;
  for (const auto& attribute : node.attributes()) attributes.push_back(std::string(attribute.name()) + "='" + attribute.value() + "'");
  std::ranges::sort(attributes);
  std::string line = path + "/" + node.name();
  for (const std::string& attribute : attributes) line += " " + attribute;
  line += std::string(" ") + node.text().get();
  std::vector<std::vector<std::string>> children;
  for (const auto& child : node.children()) {
    if (child.type() == pugi::node_element) children.push_back(meaning(child, path + "/" + node.name()));
  }
  std::ranges::sort(children);
  std::vector<std::string> lines{line};
  for (const auto& child : children) lines.insert(lines.end(), child.begin(), child.end());
  return lines;
}

class NovaReference : public ::testing::TestWithParam<std::string> {};

TEST_P(NovaReference, XmlMeansTheSameAsNovas) {
  const auto ours = domain_xml(guest_spec("nova-26.2/" + GetParam() + ".json"));
  ASSERT_TRUE(ours) << ours.error().chain();
  pugi::xml_document ours_document, novas_document;
  ASSERT_TRUE(ours_document.load_string(ours->c_str()));
  ASSERT_TRUE(novas_document.load_string(read_data("nova-26.2/" + GetParam() + ".xml").c_str()));
  drop_allowed(ours_document);
  drop_allowed(novas_document);
  EXPECT_EQ(meaning(ours_document.document_element()), meaning(novas_document.document_element()));
}

INSTANTIATE_TEST_SUITE_P(Nova26, NovaReference, ::testing::Values("plain", "net", "configdrive", "ephswap"),
                         [](const auto& info) { return info.param; });

TEST(NovaReference, ComparisonSeesADifference) {
  pugi::xml_document a, b;
  ASSERT_TRUE(a.load_string("<d><x k='1' j='2'/><y>t</y></d>"));
  ASSERT_TRUE(b.load_string("<d><y>t</y><x j='2' k='1'/></d>"));
  EXPECT_EQ(meaning(a.document_element()), meaning(b.document_element()));
  ASSERT_TRUE(b.load_string("<d><y>u</y><x j='2' k='1'/></d>"));
  EXPECT_NE(meaning(a.document_element()), meaning(b.document_element()));
}

// ---- golden files ----

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, XmlIsTheReviewedOne) {
  const auto xml = domain_xml(guest_spec("domainxml/" + GetParam() + ".json"));
  ASSERT_TRUE(xml) << xml.error().chain();
  EXPECT_EQ(*xml, read_data("domainxml/" + GetParam() + ".xml"));
}

std::string validator() {
  for (const char* path : {"/usr/bin/virt-xml-validate", "/usr/local/bin/virt-xml-validate"}) {
    if (::access(path, X_OK) == 0 && ::access("/usr/bin/xmllint", X_OK) == 0) return path;
  }
  return {};
}

// Exit status of `virt-xml-validate FILE domain`.
int validate(const std::string& program, const std::string& xml) {
  std::string path = ::testing::TempDir() + "domain-XXXXXX";
  const int fd = ::mkstemp(path.data());
  EXPECT_GE(fd, 0);
  EXPECT_EQ(::write(fd, xml.data(), xml.size()), static_cast<ssize_t>(xml.size()));
  ::close(fd);
  std::string kind = "domain", name = program;
  char* argv[] = {name.data(), path.data(), kind.data(), nullptr};
  pid_t child = 0;
  int status = -1;
  if (::posix_spawn(&child, program.c_str(), nullptr, nullptr, argv, environ) == 0) ::waitpid(child, &status, 0);
  ::unlink(path.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_P(Golden, XmlFitsLibvirtsSchema) {
  const std::string program = validator();
  if (program.empty()) GTEST_SKIP() << "virt-xml-validate (libvirt-clients) or xmllint (libxml2-utils) is not installed";
  const auto xml = domain_xml(guest_spec("domainxml/" + GetParam() + ".json"));
  ASSERT_TRUE(xml) << xml.error().chain();
  EXPECT_EQ(validate(program, *xml), 0) << *xml;
}

INSTANTIATE_TEST_SUITE_P(All, Golden,
                         ::testing::Values("kvm_defaults", "qemu_defaults", "q35_tuned_kvm", "windows_kvm", "bare_and_hostile_name"),
                         [](const auto& info) { return info.param; });

TEST(Golden, SchemaCheckRefusesWhatIsNoDomain) {
  const std::string program = validator();
  if (program.empty()) GTEST_SKIP() << "virt-xml-validate (libvirt-clients) or xmllint (libxml2-utils) is not installed";
  EXPECT_NE(validate(program, "<domain type='qemu'><nonsense/></domain>"), 0);
}

TEST(DomainXml, HostileNamesStayText) {
  const GuestSpec spec = guest_spec("domainxml/bare_and_hostile_name.json");
  const auto xml = domain_xml(spec);
  ASSERT_TRUE(xml) << xml.error().chain();
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(xml->c_str()));
  const auto instance = document.child("domain").child("metadata").child("nova:instance");
  EXPECT_STREQ(instance.child("nova:name").text().get(), "</nova:name><devices a=\"1\"> & $(reboot) \xEF\xBF\xBD \xC3\xA9 ]]>");
  EXPECT_STREQ(instance.child("nova:flavor").attribute("name").value(), "a\"b<c>");
  EXPECT_EQ(document.select_nodes("//devices").size(), 1U);
}

// ---- choices ----

GuestSpec small() { return guest_spec("domainxml/kvm_defaults.json"); }

std::string refusal(GuestSpec spec) {
  const auto xml = domain_xml(spec);
  if (xml) return "accepted";
  EXPECT_EQ(xml.error().code, Code::kInvalid);
  return xml.error().message;
}

TEST(DomainXml, UnknownPropertyValuesAreRefusedWithThoseAllowed) {
  for (const auto& [name, value, part] :
       std::vector<std::array<std::string, 3>>{{"hw_disk_bus", "floppy", "virtio, scsi, sata, ide, usb"},
                                               {"hw_vif_model", "ne3k", "rtl8139"},
                                               {"hw_video_model", "matrox", "cirrus"},
                                               {"hw_rng_model", "quantum", "one of virtio"},
                                               {"hw_input_bus", "ps2", "usb, virtio"},
                                               {"hw_pointer_model", "ball", "usbtablet"},
                                               {"hw_watchdog_action", "bite", "poweroff"},
                                               {"hw_machine_type", "pc' evil='1", "a machine type such as"},
                                               {"hw_qemu_guest_agent", "maybe", "true or false"},
                                               {"hw_cpu_cores", "0", "a whole number from 1"},
                                               {"hw_video_ram", "many", "a whole number from 0"},
                                               {"hw_firmware_type", "uefi", "does not support"},
                                               {"hw_tpm_version", "2.0", "does not support"},
                                               {"os_type", "plan9", "linux, windows"}}) {
    GuestSpec spec = small();
    spec.instance.image.properties[name] = value;
    const std::string message = refusal(spec);
    EXPECT_TRUE(has(message, name) && has(message, part)) << message;
  }
}

TEST(DomainXml, ExtraSpecsThatCannotBeHonouredAreRefused) {
  for (const auto& [name, value, part] :
       std::vector<std::array<std::string, 3>>{{"hw:cpu_policy", "dedicated", "does not support"},
                                               {"hw:mem_page_size", "large", "does not support"},
                                               {"hw:numa_cpus.0", "0,1", "is not supported; known are hw:cpu_sockets"},
                                               {"quota:disk_read_everything", "1", "is not supported"},
                                               {"quota:cpu_shares", "1", "a whole number from 2 to 262144"},
                                               {"quota:vif_inbound_peak", "10", "without quota:vif_inbound_average"},
                                               {"hw:watchdog_action", "bark", "reset"}}) {
    GuestSpec spec = small();
    spec.instance.flavor.extra_specs[name] = value;
    const std::string message = refusal(spec);
    EXPECT_TRUE(has(message, name) && has(message, part)) << message;
  }
}

TEST(DomainXml, ValuesThatAskForNothingAreTaken) {
  GuestSpec spec = small();
  spec.instance.flavor.extra_specs = {
      {"hw:cpu_policy", "shared"}, {"aggregate_instance_extra_specs:ssd", "true"}, {"resources:VGPU", "0"}, {"hw:serial_port_count", "2"}};
  spec.instance.image.properties = {{"hw_firmware_type", "bios"}, {"hw_anything", "x"}, {"architecture", "x86_64"}};
  EXPECT_TRUE(domain_xml(spec));
}

TEST(DomainXml, NonsenseInTheSpecIsRefused) {
  GuestSpec spec = small();
  spec.instance.uuid = "x";
  EXPECT_TRUE(has(refusal(spec), "is not a uuid"));
  spec = small();
  spec.virt_type = "xen";
  EXPECT_TRUE(has(refusal(spec), "kvm or qemu"));
  spec = small();
  spec.instance.flavor.vcpus = 0;
  EXPECT_TRUE(has(refusal(spec), "0 vCPUs"));
  spec = small();
  spec.instance.flavor.memory_mib = INT64_MAX;
  EXPECT_TRUE(has(refusal(spec), "MiB of memory"));
  spec = small();
  spec.disks[1].target = spec.disks[0].target;
  EXPECT_TRUE(has(refusal(spec), "have target vda"));
  spec = small();
  spec.disks[0].format = DiskFormat::kVmdk;
  EXPECT_TRUE(has(refusal(spec), "has format 'vmdk'"));
  spec = small();
  spec.disks[0].format = DiskFormat::kUnknown;
  EXPECT_TRUE(has(refusal(spec), "guests get raw or qcow2"));
  spec = small();
  spec.disks[0].cache = "fast";
  EXPECT_TRUE(has(refusal(spec), "cache mode 'fast'"));
  spec = small();
  spec.nics[0].bridge = "";
  EXPECT_TRUE(has(refusal(spec), "MAC address or bridge"));
  spec = small();
  spec.cpu_mode = "custom";
  EXPECT_TRUE(has(refusal(spec), "no CPU model"));
  spec = small();
  spec.instance.image.properties["hw_video_ram"] = "16";
  EXPECT_TRUE(has(refusal(spec), "hw_video:ram_max_mb = 0"));
}

TEST(DomainXml, TopologyFollowsFlavorAndImage) {
  struct Case {
    std::int64_t vcpus;
    Properties flavor, image;
    std::string want;  // sockets:cores:threads
  };
  for (const Case& c : std::vector<Case>{{4, {}, {}, "4:1:1"},
                                         {4, {{"hw:cpu_sockets", "2"}}, {}, "2:2:1"},
                                         {4, {{"hw:cpu_threads", "2"}}, {}, "2:1:2"},
                                         {4, {{"hw:cpu_max_sockets", "1"}}, {}, "1:4:1"},
                                         {4, {{"hw:cpu_sockets", "2"}}, {{"hw_cpu_cores", "4"}}, "1:4:1"},
                                         {4, {{"hw:cpu_sockets", "4"}}, {{"hw_cpu_max_sockets", "2"}}, "2:2:1"},
                                         {7, {{"hw:cpu_cores", "2"}}, {}, "7:1:1"}}) {
    GuestSpec spec = small();
    spec.instance.flavor.vcpus = c.vcpus;
    spec.instance.flavor.extra_specs = c.flavor;
    spec.instance.image.properties = c.image;
    const auto xml = domain_xml(spec);
    ASSERT_TRUE(xml) << xml.error().chain();
    pugi::xml_document document;
    ASSERT_TRUE(document.load_string(xml->c_str()));
    const auto topology = document.child("domain").child("cpu").child("topology");
    EXPECT_EQ(std::string(topology.attribute("sockets").value()) + ":" + topology.attribute("cores").value() + ":" +
                  topology.attribute("threads").value(),
              c.want);
  }
  GuestSpec spec = small();
  spec.instance.flavor.vcpus = 4;
  spec.instance.flavor.extra_specs = {{"hw:cpu_max_sockets", "1"}, {"hw:cpu_max_cores", "1"}, {"hw:cpu_max_threads", "2"}};
  EXPECT_TRUE(has(refusal(spec), "4 vCPUs cannot be made"));
  spec.instance.image.properties = {{"hw_cpu_max_sockets", "8"}};
  EXPECT_TRUE(has(refusal(spec), "the flavor only up to 1:1:2"));
  spec.instance.image.properties = {{"hw_cpu_sockets", "8"}};
  EXPECT_TRUE(has(refusal(spec), "image wants CPU topology"));
}

TEST(PlanDisks, BusesAndNamesFollowMachineAndProperties) {
  struct Case {
    std::string machine;
    Properties properties;
    DiskFormat format;
    std::string want;
  };
  for (const Case& c : std::vector<Case>{{"", {}, DiskFormat::kQcow2, "virtio vda ide hda"},
                                         {"pc", {}, DiskFormat::kQcow2, "virtio vda ide hda"},
                                         {"q35", {}, DiskFormat::kQcow2, "virtio vda sata sda"},
                                         {"pc", {{"hw_machine_type", "pc-q35-7.2"}}, DiskFormat::kQcow2, "virtio vda sata sda"},
                                         {"q35", {{"hw_machine_type", "pc"}}, DiskFormat::kQcow2, "virtio vda ide hda"},
                                         {"pc", {{"hw_disk_bus", "scsi"}}, DiskFormat::kQcow2, "scsi sda ide hda"},
                                         {"q35", {{"hw_disk_bus", "scsi"}}, DiskFormat::kQcow2, "scsi sda sata sdb"},
                                         {"pc", {{"hw_disk_bus", "ide"}}, DiskFormat::kQcow2, "ide hda ide hdb"},
                                         {"pc", {{"hw_disk_bus", "usb"}, {"hw_cdrom_bus", "usb"}}, DiskFormat::kQcow2, "usb sda usb sdb"},
                                         {"pc", {}, DiskFormat::kIso, "ide hda ide hdb"},
                                         {"virt", {}, DiskFormat::kQcow2, "virtio vda scsi sda"}}) {
    ImageMeta image;
    image.properties = c.properties;
    image.disk_format = c.format;
    const auto plan = plan_disks(image, c.machine);
    ASSERT_TRUE(plan) << plan.error().chain();
    EXPECT_EQ(plan->root_bus + " " + plan->root_target + " " + plan->cdrom_bus + " " + plan->cdrom_target, c.want);
  }
}

TEST(PlanDisks, IdeOnQ35AndUnknownBusesAreRefused) {
  ImageMeta image;
  image.properties["hw_disk_bus"] = "ide";
  const auto ide = plan_disks(image, "q35");
  ASSERT_FALSE(ide);
  EXPECT_TRUE(has(ide.error().message, "machine type q35 does not have"));
  image.properties["hw_disk_bus"] = "xen";
  const auto xen = plan_disks(image, "pc");
  ASSERT_FALSE(xen);
  EXPECT_TRUE(has(xen.error().message, "hw_disk_bus = 'xen'"));
}

TEST(VifModel, IsVirtioUnlessTheImageSaysElse) {
  ImageMeta image;
  EXPECT_EQ(vif_model(image).value(), "virtio");
  image.properties["hw_vif_model"] = "E1000";
  EXPECT_EQ(vif_model(image).value(), "e1000");
}

}  // namespace
}  // namespace ca
