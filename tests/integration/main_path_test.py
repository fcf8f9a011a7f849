"""The main job on real libvirt and QEMU: a message becomes a running instance, and everything of it goes again."""
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from harness import domain_xml, guest, iso, tap
from harness.agent import INSTANCES, Agent, domains, sha1, taps, virsh, wait_for
from harness.check import check, equal, say, says

SOURCE = Path(os.environ["SOURCE_ROOT"])
NOVA = SOURCE / "tests/data/nova-26.2"
SHUTDOWN_TIMEOUT = 60
USER_DATA = "#!/bin/sh\necho user data ran\n"
NETWORK = "net1"


class MainPath:
    """One agent and one server, demo1, that the cases work on one after the other."""

    def __init__(self, scratch):
        self.scratch = Path(scratch)
        # As the nova-compute ran that wrote tests/data/nova-26.2.
        self.options = dict(cpu_allocation_ratio=16, shutdown_timeout=SHUTDOWN_TIMEOUT, libvirt__wait_soft_reboot_seconds=SHUTDOWN_TIMEOUT, libvirt__cpu_mode="host-model")
        self.agent = Agent(scratch, **self.options)

    def restart(self, **options):
        equal(self.agent.stop(), 0, "exit status of the agent")
        self.agent = Agent(self.scratch, **{**self.options, **options}).start()
        return self.agent

    @property
    def server(self):
        return self.agent.server(self.id)

    @property
    def dir(self):
        return INSTANCES / self.id

    def event_seconds(self, action, event):
        """How long a step of the newest action of that kind took."""
        newest = next(a for a in self.agent.actions(self.id) if a["action"] == action)
        found = next(e for e in newest["events"] if e["event"] == event)
        clock = lambda text: time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + text[19:])
        return clock(found["finish_time"]) - clock(found["start_time"])


def run_json(*argv):
    return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def image_info(path):
    return run_json("qemu-img", "info", "-U", "--output=json", str(path))


def blank_qcow2(scratch):
    path = Path(scratch) / "blank.qcow2"
    if not path.exists():
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "16M"], check=True)
    return path


# --- the build

def HypervisorShowSaysWhetherKvmOrTcgIsUsedAndWhy(t):
    wait_for("the probe to end", lambda: "guests run as virt_type" in t.agent.new_log())
    shown = json.loads(t.agent.ctl("hypervisor", "show", "-f", "json", "lab").stdout)
    t.virt_type = shown["virt_type"]
    say(f"these tests run on {'KVM' if t.virt_type == 'kvm' else 'TCG (virt_type qemu)'}: {shown['virt_type_reason']}")
    check(t.virt_type in ("kvm", "qemu") and shown["virt_type_reason"], f"no verdict: {shown}")
    check(f"guests run as virt_type {t.virt_type}: {shown['virt_type_reason']}" in t.agent.new_log(), "the log says nothing of it")


def WhatAServerNeedsIsMadeByItsCommands(t):
    ctl, key = t.agent.ctl, t.scratch / "key.pub"
    key.write_text(guest.KEY + "\n")
    made = lambda *args: json.loads(ctl(*args, "-f", "json").stdout)
    image = made("image", "create", "--disk-format", "qcow2", "--file", str(guest.QCOW2), "--public", "demo")
    t.image = image["id"]
    equal((image["status"], image["size"], image["virtual_size"]), ("active", guest.QCOW2.stat().st_size, 64 << 20), "image")
    made("flavor", "create", "--ram", "128", "--vcpus", "1", "--disk", "1", "t1")
    t.network = made("network", "create", "--provider-network-type", "isolated", NETWORK)
    subnet = made("subnet", "create", "--network", NETWORK, "--subnet-range", "10.77.1.0/24", "sub1")
    equal(subnet["gateway_ip"], "10.77.1.1", "gateway")
    equal(made("keypair", "create", "--public-key", str(key), "demo-key")["name"], "demo-key", "key")


def ServerCreateWithWaitEndsWhenTheServerIsActive(t):
    (t.scratch / "user-data").write_text(USER_DATA)
    began = time.monotonic()
    made = json.loads(t.agent.ctl("server", "create", "--image", "demo", "--flavor", "t1", "--network", NETWORK, "--key-name", "demo-key",
                                  "--property", "k1=v1", "--user-data", str(t.scratch / "user-data"), "--wait", "-f", "json", "demo1").stdout)
    say(f"server create --wait took {time.monotonic() - began:.2f} s")
    t.id, t.domain = made["id"], made["OS-EXT-SRV-ATTR:instance_name"]
    equal((made["status"], made["OS-EXT-STS:vm_state"], made["OS-EXT-STS:task_state"]), ("ACTIVE", "active", None), "states")
    equal(domains(), {t.id: "running"}, "libvirt's domains")
    listed = json.loads(t.agent.ctl("server", "list", "-f", "json").stdout)
    equal([(s["ID"], s["Name"], s["Status"]) for s in listed], [(t.id, "demo1", "ACTIVE")], "server list")
    t.address = guest.address(t.server, NETWORK)
    t.port = t.agent.ok("GET", f"/network/v2.0/ports?device_id={t.id}")["ports"][0]


def RunningDomainMeansWhatNovaWrote(t):
    server = t.server
    novas = (NOVA / "configdrive.xml").read_text()
    for theirs, ours in (("<domain type='qemu'>", f"<domain type='{t.virt_type}'>"), ("instance-0000000f", t.domain),
                         ("8f056fce-b04e-4956-99e0-d2f8b9ae909a", t.id), ("v-configdrive", "demo1"),
                         ("284a6cb05b6445edb4a5cd28ccce96a6", server["user_id"]), ("78d91e85067c4a7d83bfe4e0fed4cf0a", server["tenant_id"]),
                         ("c1122974-45c4-45df-a013-0a3992b1cd92", t.image), ("9394db63-c332-48a6-aec5-49a38961580b", t.port["id"]),
                         ("10.77.0.100", t.address), ("fa:16:3e:c8:ce:8b", t.port["mac_address"]), ("brq02437e73-86", t.network["bridge"]),
                         ("tap9394db63-c3", f"tap{t.port['id'][:11]}")):
        check(theirs in novas, f"{theirs} is not in nova's XML any more")
        novas = novas.replace(theirs, ours)
    for what, flags in (("live", []), ("definition", ["--inactive"])):
        found = domain_xml.differences(virsh("dumpxml", *flags, t.id).stdout, novas)
        check(not found, f"the {what} XML differs from nova's:\n" + "\n".join(found))
    check(re.search(r"<cpu mode='host-model'.*?<topology sockets='1' dies='1' cores='1' threads='1'/>", virsh("dumpxml", "--inactive", t.id).stdout, re.S),
          "no host-model CPU of one core in the definition")


def FilesLieWhereNovaLaysThem(t):
    equal({p.name for p in t.dir.iterdir()}, {"disk", "disk.config", "disk.info", "console.log", "instance.json"}, "files of the instance")
    base = INSTANCES / "_base" / sha1(t.image)
    overlay, below = image_info(t.dir / "disk"), image_info(base)
    equal((overlay["format"], overlay["virtual-size"], overlay["backing-filename"], overlay["backing-filename-format"]),
          ("qcow2", 1 << 30, str(base), "raw"), "overlay")
    equal((below["format"], below["virtual-size"]), ("raw", 64 << 20), "base")
    check(base.read_bytes() == guest.RAW.read_bytes(), "the base is not the image's content")
    equal(json.loads((t.dir / "disk.info").read_text()), {str(t.dir / "disk"): "qcow2"}, "disk.info")
    record = json.loads((t.dir / "instance.json").read_text())
    equal((record["uuid"], record["name"], record["flavor"]["name"]), (t.id, "demo1", "t1"), "instance.json")
    check(not list(INSTANCES.rglob("*.part")), "temporary files were left")


def ConfigDriveHoldsWhatNovasHolds(t):
    path = t.dir / "disk.config"
    equal(iso.label(path), "config-2", "label")
    found = iso.files(path)
    listed = {line.split()[0] for line in (NOVA / "configdrive/files.txt").read_text().splitlines()}
    equal(set(found), listed, "files on the drive")
    meta = json.loads(found["openstack/latest/meta_data.json"])
    novas = json.loads((NOVA / "configdrive/meta_data.json").read_text())
    equal(set(novas) - set(meta), {"admin_pass"} & set(novas), "members of nova's meta_data.json that are missing")
    equal((meta["uuid"], meta["hostname"], meta["meta"], meta["public_keys"]),
          (t.id, "demo1.novalocal", {"k1": "v1"}, {"demo-key": guest.KEY}), "meta_data.json")
    network = json.loads(found["openstack/latest/network_data.json"])
    equal((network["networks"][0]["type"], network["links"][0]["ethernet_mac_address"]), ("ipv4_dhcp", t.port["mac_address"]), "network_data.json")
    equal(found["openstack/latest/user_data"].decode(), USER_DATA, "user_data")


# --- the guest

def GuestTellsItsHostnameAddressAndKeyOnTheConsole(t):
    guest.wait_console(t.agent, t.id, "demo: user-data: done")
    guest.wait_page(t.address)
    said = t.agent.ctl("console", "log", "show", "demo1").stdout
    for line in ("demo: hostname=demo1", f"demo: uuid={t.id}", f"demo: address={t.address}/24", f"demo: ssh-key={guest.KEY}",
                 "demo: boots=1", "demo: user-data: user data ran"):
        check(re.search(rf"^{re.escape(line)}\r?$", said, re.M), f"'{line}' is not on the console:\n{said[-2000:]}")


def GuestAnswersPingAndServesItsPage(t):
    wait_for(f"{t.address} to answer ping", lambda: guest.answers_ping(t.address), 20)
    page = guest.page(t.address)
    check("Hello from demo1" in page and f"uuid: {t.id}" in page and f"address: {t.address}/24" in page, f"the page says: {page}")


def ConsoleLogShowGivesTheLastLines(t):
    whole = t.agent.ctl("console", "log", "show", "demo1").stdout
    for count in (1, 3):
        equal(t.agent.ctl("console", "log", "show", "--lines", str(count), "demo1").stdout.splitlines(), whole.splitlines()[-count:], f"--lines {count}")
    equal(t.agent.ctl("console", "log", "show", "--lines", "0", "demo1").stdout, "", "--lines 0")
    status, reply = t.agent.send(Agent.envelope("get_console_output", {"instance": {"uuid": t.id}, "tail_length": 1}, call=True))
    equal((status, reply["result"]["output"].splitlines()), (200, whole.splitlines()[-1:]), "the message's answer")


# --- power

def StopIsDoneByTheGuestItself(t):
    t.agent.ctl("server", "stop", "--wait", "demo1")
    equal(guest.state_reason(t.id), "shut off (shutdown)", "how libvirt saw it end")
    took = t.event_seconds("stop", "stop_instance/shutdown")
    say(f"the guest took {took:.2f} s to shut down")
    check(took < SHUTDOWN_TIMEOUT / 2, f"shutdown took {took} s: it was forced, or nearly")
    check("power button pressed" in guest.console(t.agent, t.id), "the guest saw no power button")
    server = t.server
    equal((server["status"], server["OS-EXT-STS:power_state"]), ("SHUTOFF", 4), "state")
    refused = t.agent.ctl("server", "stop", "demo1", check=False)
    check(refused.returncode == 1 and "vm_state stopped" in refused.stderr, f"a second stop: {refused}")


def StartBootsTheSameDisk(t):
    t.agent.ctl("server", "start", "--wait", "demo1")
    equal(t.server["status"], "ACTIVE", "state")
    equal(guest.boots(t.agent, t.id), 2, "boots of this disk")
    guest.wait_page(t.address)


def SoftRebootEndsTheGuestGently(t):
    before = len(guest.end_reasons(t.domain))
    t.agent.ctl("server", "reboot", "--soft", "--wait", "demo1")
    equal(guest.end_reasons(t.domain)[before:], ["shutdown"], "how QEMU ended")
    equal(guest.boots(t.agent, t.id), 3, "boots of this disk")
    guest.wait_page(t.address)


def HardRebootPowersOff(t):
    before = len(guest.end_reasons(t.domain))
    t.agent.ctl("server", "reboot", "--hard", "--wait", "demo1")
    equal(guest.end_reasons(t.domain)[before:], ["destroyed"], "how QEMU ended")
    equal(guest.boots(t.agent, t.id), 4, "boots of this disk")
    guest.wait_page(t.address)


def EventsTellEveryStep(t):
    listed = json.loads(t.agent.ctl("server", "event", "list", "-f", "json", "demo1").stdout)
    actions = [e["Action"] for e in listed]
    equal(actions, ["reboot", "reboot", "start", "stop", "create"], "actions, newest first")
    steps = {"create": ["claim", "allocate_ports", "fetch_image", "make_volumes", "create_disk", "create_config_drive", "plug_ports", "define", "start"],
             "start": ["plug_ports", "define", "start"],
             "reboot": ["shutdown", "power_off", "plug_ports", "define", "start"]}
    for entry in listed:
        if entry["Action"] not in steps:
            continue
        shown = json.loads(t.agent.ctl("server", "event", "show", "-f", "json", "demo1", entry["Request ID"]).stdout)
        events = shown["events"] if isinstance(shown["events"], list) else json.loads(shown["events"])
        events.sort(key=lambda e: e["start_time"])
        equal([e["event"].split("/")[1] for e in events], steps[entry["Action"]], f"steps of {entry['Action']}")
        check(all(e["result"] == "Success" and e["finish_time"] >= e["start_time"] for e in events), f"{entry['Action']}: {events}")


# --- what others do to the domain

def GuestShutDownByVirshIsShutoffWithinFiveSeconds(t):
    virsh("shutdown", t.id)
    wait_for("the guest to end", lambda: virsh("domstate", t.id).stdout.strip() == "shut off", 60)
    t.agent.wait_status(t.id, "SHUTOFF", 5)
    t.agent.ctl("server", "start", "--wait", "demo1")


def DomainDestroyedByVirshIsShutoffWithinFiveSeconds(t):
    virsh("destroy", t.id)
    t.agent.wait_status(t.id, "SHUTOFF", 5)


def DomainUndefinedByVirshIsDefinedAgainByStart(t):
    virsh("undefine", t.id)
    t.agent.ctl("server", "start", "--wait", "demo1")
    equal(domains(), {t.id: "running"}, "libvirt's domains")


# --- the end of it

def DeleteLeavesNothing(t):
    used = lambda: {k: v for k, v in t.agent.ok("GET", "/compute/v2.1/os-hypervisors/statistics")["hypervisor_statistics"].items() if k.endswith("_used")}
    before = used()
    check(before["vcpus_used"] == 1, f"one vCPU is claimed: {before}")
    name, entries = f"ip='{t.address}'", INSTANCES.parent / "networks" / t.network["id"]
    check(name in virsh("net-dumpxml", t.network["id"]).stdout, "no name was there to remove")
    equal([p.name for p in entries.iterdir()], [f"{t.port['mac_address'].replace(':', '-')}_{t.address}"], "DHCP entries")
    t.agent.ctl("server", "delete", "--wait", "demo1")
    equal(t.agent.leftovers(t.id), [], "left over")
    equal((domains(), taps()), ({}, []), "domains and taps")
    check(name not in virsh("net-dumpxml", t.network["id"]).stdout, "the name is still there")
    equal(list(entries.iterdir()), [], "DHCP entries left")
    check(t.port["mac_address"] not in virsh("net-dhcp-leases", t.network["id"]).stdout, "the lease is still there")
    after = used()
    equal((after["vcpus_used"], before["memory_mb_used"] - after["memory_mb_used"], after["local_gb_used"]), (0, 128, 0), "claims")
    gone = t.agent.ctl("server", "show", t.id, check=False)
    check(gone.returncode == 1 and "No server" in gone.stderr, f"server show of a deleted one: {gone}")
    equal(json.loads(t.agent.ctl("server", "event", "list", "-f", "json", t.id).stdout)[0]["Action"], "delete", "last event")
    check(not t.dir.exists(), "its directory is still there")


def NetworkAndImageGoToo(t):
    bridge = t.network["bridge"]
    t.agent.ctl("network", "delete", NETWORK)
    check(not Path(f"/sys/class/net/{bridge}").exists() and virsh("net-list", "--all", "--name").stdout.split() == [], "the host's network is still there")
    t.agent.ctl("image", "delete", "demo")
    check(not list(Path("/var/lib/compute-agent/images").iterdir()), "the image's data is still there")


# --- other ways to lay a disk

def RawImageBoots(t):
    t.raw = t.agent.image(guest.RAW, "raw", "demo-raw")
    t.flavor = t.agent.ok("GET", "/compute/v2.1/flavors")["flavors"][0]["id"]
    t.id = t.agent.create("from-raw", t.raw, t.flavor)
    t.agent.wait_status(t.id, "ACTIVE")
    overlay = image_info(t.dir / "disk")
    equal((overlay["backing-filename"], overlay["backing-filename-format"]), (str(INSTANCES / "_base" / sha1(t.raw)), "raw"), "overlay")
    guest.wait_console(t.agent, t.id, "demo: hostname=from-raw")
    t.agent.ctl("server", "delete", "--wait", "from-raw")


def TenBuildsAtOnceFetchTheImageOnce(t):
    t.blank = t.agent.image(blank_qcow2(t.scratch), "qcow2", "blank")
    flavor = t.agent.flavor("small", ram=64)
    network = t.agent.network("net10", "10.77.10.0/24")
    began = time.monotonic()
    t.agent.create("many", t.blank, flavor, [network], min_count=10, max_count=10)
    ids = [s["id"] for s in t.agent.servers()]
    equal(len(ids), 10, "servers")
    for uuid in ids:
        t.agent.wait_status(uuid, "ACTIVE", 120)
    say(f"ten builds at once took {time.monotonic() - began:.2f} s")
    equal(t.agent.new_log().count(f"image {t.blank} is in the cache"), 1, "fetches of the image")
    equal(len({guest.address(s, "net10") for s in t.agent.servers()}), 10, "different addresses")
    equal(set(domains().values()), {"running"}, "domains")
    t.agent.ctl("server", "delete", "--wait", *ids)
    equal((domains(), taps(), t.agent.servers()), ({}, [], []), "left over")
    t.agent.ctl("network", "delete", "net10")


def ForceRawImagesOffKeepsTheBaseAsQcow2(t):
    agent = t.restart(force_raw_images="false")
    image = agent.image(guest.QCOW2, "qcow2", "demo-qcow2")
    t.id = agent.create("on-qcow2", image, t.flavor)
    agent.wait_status(t.id, "ACTIVE")
    base = INSTANCES / "_base" / sha1(image)
    equal(base.read_bytes(), guest.QCOW2.read_bytes(), "the base")
    overlay = image_info(t.dir / "disk")
    equal((overlay["backing-filename"], overlay["backing-filename-format"], overlay["virtual-size"]), (str(base), "qcow2", 1 << 30), "overlay")
    guest.wait_console(agent, t.id, "demo: hostname=on-qcow2")
    agent.ctl("server", "delete", "--wait", "on-qcow2")


def VirtTypeIsForcedByTheOption(t):
    agent = t.restart(libvirt__virt_type="qemu", libvirt__images_type="raw")
    shown = json.loads(agent.ctl("hypervisor", "show", "-f", "json", "lab").stdout)
    equal((shown["virt_type"], shown["virt_type_reason"]), ("qemu", "set by [libvirt] virt_type"), "virt_type")
    says(agent.new_log(), "guests run as virt_type qemu: set by [libvirt] virt_type")


def ImagesTypeRawCopiesTheDisk(t):
    agent = t.agent
    t.id = agent.create("flat", t.raw, t.flavor)
    agent.wait_status(t.id, "ACTIVE")
    disk = image_info(t.dir / "disk")
    equal((disk["format"], disk["virtual-size"], disk.get("backing-filename")), ("raw", 1 << 30, None), "disk")
    check(disk["actual-size"] < 128 << 20, f"the disk is not sparse: {disk['actual-size']} bytes")
    equal(json.loads((t.dir / "disk.info").read_text()), {str(t.dir / "disk"): "raw"}, "disk.info")
    check("<driver name='qemu' type='raw' cache='none'" in virsh("dumpxml", t.id).stdout.split("disk.config")[0], "the domain does not name the format raw")
    guest.wait_console(agent, t.id, "demo: hostname=flat")
    agent.ctl("server", "delete", "--wait", "flat")
    t.restart()


# --- kinds of network

def BridgeOfTheHostTakesTheTap(t):
    subprocess.run(["ip", "link", "add", "labbr0", "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "set", "labbr0", "up"], check=True)
    t.agent.ctl("network", "create", "--provider-network-type", "bridge", "--provider-physical-network", "labbr0", "flat")
    server = json.loads(t.agent.ctl("server", "create", "--image", "blank", "--flavor", "small", "--network", "flat", "--wait", "-f", "json", "bridged").stdout)
    equal([p.name for p in Path("/sys/class/net/labbr0/brif").iterdir()], taps(), "ports of the bridge")
    equal(len(taps()), 1, "taps")
    t.agent.ctl("server", "delete", "--wait", "bridged")
    equal(t.agent.leftovers(server["id"]), [], "left over")
    t.agent.ctl("network", "delete", "flat")
    check(Path("/sys/class/net/labbr0").exists(), "the host's own bridge was removed")
    t.agent.ctl("network", "create", "--provider-network-type", "bridge", "--provider-physical-network", "nobr0", "nowhere")
    refused = t.agent.ctl("server", "create", "--image", "blank", "--flavor", "small", "--network", "nowhere", "--wait", "lost", check=False)
    check(refused.returncode == 1 and "there is no bridge 'nobr0'" in refused.stderr and "ip link add nobr0" in refused.stderr, f"{refused}")
    t.agent.ctl("server", "delete", "--wait", "lost")
    t.agent.ctl("network", "delete", "nowhere")


def NatNetworkLetsTheGuestOut(t):
    t.agent.ctl("network", "create", "--provider-network-type", "nat", "net-nat")
    t.agent.ctl("subnet", "create", "--network", "net-nat", "--subnet-range", "10.77.2.0/24", "--dns-nameserver", "10.77.2.1", "sub-nat")
    # A far host: an address of the lab that is in no network of the guest's.
    subprocess.run(["ip", "addr", "add", "198.51.100.1/32", "dev", "lo"], check=True)
    (t.scratch / "nat-data").write_text("#!/bin/sh\nping -c 1 -w 10 198.51.100.1 && echo far host answers\n")
    built = t.agent.ctl("server", "create", "--image", "demo-raw", "--flavor", "t1", "--network", "net-nat", "--user-data", str(t.scratch / "nat-data"),
                        "--wait", "-f", "json", "inside", check=False)
    if built.returncode != 0 and "cannot set up NAT" in built.stderr:
        check("isolated" in built.stderr, f"what to do is not said: {built.stderr}")
        t.agent.ctl("server", "delete", "--wait", "inside")
        t.agent.ctl("network", "delete", "net-nat")
        raise tap.Skip("this kernel has no NAT: " + " ".join(built.stderr.split())[:300])
    check(built.returncode == 0, f"{built}")
    t.id = json.loads(built.stdout)["id"]
    guest.wait_console(t.agent, t.id, "far host answers")
    t.agent.ctl("server", "delete", "--wait", "inside")
    t.agent.ctl("network", "delete", "net-nat")
    check("net-nat" not in virsh("net-list", "--all").stdout, "the host's network is still there")


def AgentEndsWithStatusZeroAndLeavesNoProcess(t):
    equal(t.agent.stop(), 0, "exit status")
    errors = [line for line in t.agent.log.read_text().splitlines() if re.search(r"\d (error|critical) ", line) and "nobr0" not in line and "NAT" not in line]
    equal(errors, [], "errors in the log")


CASES = [HypervisorShowSaysWhetherKvmOrTcgIsUsedAndWhy, WhatAServerNeedsIsMadeByItsCommands, ServerCreateWithWaitEndsWhenTheServerIsActive,
         RunningDomainMeansWhatNovaWrote, FilesLieWhereNovaLaysThem, ConfigDriveHoldsWhatNovasHolds,
         GuestTellsItsHostnameAddressAndKeyOnTheConsole, GuestAnswersPingAndServesItsPage, ConsoleLogShowGivesTheLastLines,
         StopIsDoneByTheGuestItself, StartBootsTheSameDisk, SoftRebootEndsTheGuestGently, HardRebootPowersOff, EventsTellEveryStep,
         GuestShutDownByVirshIsShutoffWithinFiveSeconds, DomainDestroyedByVirshIsShutoffWithinFiveSeconds,
         DomainUndefinedByVirshIsDefinedAgainByStart, DeleteLeavesNothing, NetworkAndImageGoToo,
         RawImageBoots, TenBuildsAtOnceFetchTheImageOnce, ForceRawImagesOffKeepsTheBaseAsQcow2, VirtTypeIsForcedByTheOption,
         ImagesTypeRawCopiesTheDisk,
         BridgeOfTheHostTakesTheTap, NatNetworkLetsTheGuestOut, AgentEndsWithStatusZeroAndLeavesNoProcess]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main = MainPath(scratch)
        main.agent.start()
        tap.run(CASES, main)
