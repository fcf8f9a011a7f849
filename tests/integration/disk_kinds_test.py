"""Every kind of local disk, as the guest sees it: root, ephemeral disks and swap on overlays and on flat files; and the cache of bases."""
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from harness import domain_xml, guest, tap
from harness.agent import INSTANCES, Agent, sha1, virsh
from harness.check import check, equal, says

NOVA = Path(os.environ["SOURCE_ROOT"]) / "tests/data/nova-26.2"
BASE = INSTANCES / "_base"
MIB, GIB = 1 << 20, 1 << 30
# What the guest has, read by itself: /proc/partitions, and where each kind of content has its signature and label. It mounts nothing: its
# kernel has no file systems.
LOOK = """#!/bin/sh
text() { dd if=/dev/$1 bs=1 skip=$2 count=$3 2> /dev/null | tr -cd 'A-Za-z0-9'; }
hex() { dd if=/dev/$1 bs=1 skip=$2 count=$3 2> /dev/null | od -An -tx1 | tr -d ' '; }
for dev in vda vdb vdc vdd vde vdf; do
    [ -b /dev/$dev ] || continue
    echo "disk $dev $(awk -v dev=$dev '$4 == dev { print $3 }' /proc/partitions) serial=$(cat /sys/block/$dev/serial)"
    echo "content $dev ext=$(hex $dev 1080 2):$(text $dev 1144 16) vfat=$(text $dev 82 5):$(text $dev 71 11) xfs=$(text $dev 0 4):$(text $dev 108 12) swap=$(text $dev 4086 10):"
done
if swapon /dev/${SWAP:-none} 2> /dev/null; then echo "swap $(awk 'NR == 2 { print $1, $3 }' /proc/swaps)"; fi
"""
CONTENT = {"ext4": "ext=53ef:ephemeral0", "vfat": "vfat=FAT32:ephemeral0", "xfs": "xfs=XFSB:ephemeral0", "swap": "swap=SWAPSPACE2:"}


class World:
    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.agent = None

    def start(self, **options):
        if self.agent:
            equal(self.agent.stop(), 0, "exit status of the agent")
        self.agent = Agent(self.scratch, **{"cpu_allocation_ratio": 16, "libvirt__cpu_mode": "host-model", **options}).start()

    def flavor(self, name, *more):
        return json.loads(self.agent.ctl("flavor", "create", "--ram", "128", "--vcpus", "1", "--disk", "1", *more, name, "-f", "json").stdout)["id"]

    def create(self, name, flavor, *more, script=None):
        arguments = ["--image", "demo", "--flavor", flavor, "--nic", "none", *more]
        if script:
            (self.scratch / "script").write_text(script)
            arguments += ["--user-data", str(self.scratch / "script")]
        return json.loads(self.agent.ctl("server", "create", *arguments, "--wait", name, "-f", "json").stdout)["id"]

    def delete(self, *names):
        self.agent.ctl("server", "delete", "--wait", *names)

    def cached(self):
        return {b["Base"]: b for b in json.loads(self.agent.ctl("image", "cache", "list", "--long", "-f", "json").stdout)}


def info(path):
    return json.loads(subprocess.run(["qemu-img", "info", "-U", "--output=json", str(path)], check=True, capture_output=True, text=True).stdout)


def record(uuid):
    return json.loads((INSTANCES / uuid / "instance.json").read_text())


def seen(t, uuid):
    """What the guest printed: disk -> (KiB, serial), disk -> kinds of content found on it, and all of it."""
    guest.wait_console(t.agent, uuid, "demo: user-data: done")
    said = guest.console(t.agent, uuid)
    disks = {name: (int(kib), serial) for name, kib, serial in re.findall(r"disk (vd\w) (\d+) serial=(\S*)", said)}
    kinds = {name: [kind for kind, words in CONTENT.items() if words in content.split()]
             for name, content in re.findall(r"content (vd\w) (.*?)\r?$", said, re.M)}
    return disks, kinds, said


# --- what the guest sees

def GuestSeesRootEphemeralDisksAndSwapInNovasOrder(t):
    t.start()
    t.image = json.loads(t.agent.ctl("image", "create", "--disk-format", "qcow2", "--file", str(guest.QCOW2), "demo", "-f", "json").stdout)["id"]
    t.flavor("several", "--ephemeral", "4", "--swap", "64")
    t.several = t.create("several", "several", "--ephemeral", "size=2,format=ext4", "--ephemeral", "size=1,format=vfat",
                         "--ephemeral", "size=1,format=xfs", script=LOOK.replace("SWAP:-none", "SWAP:-vde"))
    disks, kinds, said = seen(t, t.several)
    equal({name: kib for name, (kib, _) in disks.items()}, {"vda": 1 << 20, "vdb": 2 << 20, "vdc": 1 << 20, "vdd": 1 << 20, "vde": 64 << 10}, "disks in KiB")
    equal(kinds, {"vda": [], "vdb": ["ext4"], "vdc": ["vfat"], "vdd": ["xfs"], "vde": ["swap"]}, "contents")
    says(said, "swap /dev/vde 65532")


def EachDiskIsAnOverlayOnASharedBaseAndDescribedInDiskInfo(t):
    folder = INSTANCES / t.several
    names = {"disk": sha1(t.image), "disk.eph0": "ephemeral_2_40d1d2c", "disk.eph1": "ephemeral_1_0706d66", "disk.eph2": "ephemeral_1_310201b",
             "disk.swap": "swap_64"}
    equal(json.loads((folder / "disk.info").read_text()), {str(folder / name): "qcow2" for name in names}, "disk.info")
    for name, base in names.items():
        overlay = info(folder / name)
        equal((overlay["format"], overlay["backing-filename"], overlay["backing-filename-format"]), ("qcow2", str(BASE / base), "raw"), name)
    equal([(d["name"], d["storage"], d["format"], d["size_bytes"], d["device_name"], d["guest_format"]) for d in record(t.several)["local_disks"]],
          [("disk", "qcow2", "qcow2", GIB, "/dev/vda", ""), ("disk.eph0", "qcow2", "qcow2", 2 * GIB, "/dev/vdb", "ext4"),
           ("disk.eph1", "qcow2", "qcow2", GIB, "/dev/vdc", "vfat"), ("disk.eph2", "qcow2", "qcow2", GIB, "/dev/vdd", "xfs"),
           ("disk.swap", "qcow2", "qcow2", 64 * MIB, "/dev/vde", "swap")], "local disks in instance.json")


def EphemeralAndSwapAreClaimedAsDisk(t):
    stats = t.agent.ok("GET", "/compute/v2.1/os-hypervisors/statistics")["hypervisor_statistics"]
    equal(stats["local_gb_used"], 1 + 4 + 1, "GiB used: root, ephemeral, swap")


def OrderOfMoreThanTheFlavorHasIsRefused(t):
    for arguments, words in ((["--ephemeral", "size=3", "--ephemeral", "size=2"], "5 GiB of 4 GiB"), (["--swap", "65"], "65 MiB of 64 MiB"),
                             (["--ephemeral", "size=1,format=ntfs"], "ntfs")):
        refused = t.agent.ctl("server", "create", "--image", "demo", "--flavor", "several", "--nic", "none", *arguments, "greedy", check=False)
        equal(refused.returncode, 1, f"exit status with {arguments}")
        says(refused.stderr, words)
    equal([s["name"] for s in t.agent.servers()], ["several"], "servers")


def FlavorsEphemeralAndSwapMeanWhatNovaWrote(t):
    flavor = t.flavor("t1es", "--ephemeral", "1", "--swap", "64")
    uuid = t.create("v-ephswap", flavor, "--no-config-drive")
    server = t.agent.server(uuid)
    kind = re.search(r"<domain type='(\w+)'", virsh("dumpxml", uuid).stdout).group(1)
    novas = (NOVA / "ephswap.xml").read_text()
    for theirs, ours in (("<domain type='qemu'>", f"<domain type='{kind}'>"), ("instance-00000010", server["OS-EXT-SRV-ATTR:instance_name"]),
                         ("ea76f2be-95bf-4f86-939f-b630be7f5b3f", uuid), ("284a6cb05b6445edb4a5cd28ccce96a6", server["user_id"]),
                         ("78d91e85067c4a7d83bfe4e0fed4cf0a", server["tenant_id"]), ("c1122974-45c4-45df-a013-0a3992b1cd92", t.image)):
        check(theirs in novas, f"{theirs} is not in nova's XML any more")
        novas = novas.replace(theirs, ours)
    found = domain_xml.differences(virsh("dumpxml", "--inactive", uuid).stdout, novas)
    check(not found, "the XML differs from nova's:\n" + "\n".join(found))
    # The bases have nova's names: 0706d66 is vfat, the default where the image names no os_type.
    folder = INSTANCES / uuid
    equal([info(folder / name)["backing-filename"] for name in ("disk.eph0", "disk.swap")],
          [str(BASE / "ephemeral_1_0706d66"), str(BASE / "swap_64")], "backing files")
    t.delete("v-ephswap")


# --- options of new disks, and disks made under other options

def ChangedImagesTypeDoesNotTouchDisksThatAreThere(t):
    t.agent.ctl("server", "stop", "--wait", "several")
    t.start(libvirt__images_type="raw", preallocate_images="space", libvirt__hw_disk_discard="unmap", default_ephemeral_format="ext4")
    t.agent.ctl("server", "start", "--wait", "several")
    drivers = re.findall(r"<driver name='qemu' type='(\w+)'.*?/>\s*<source file='[^']*/([\w.]+)'", virsh("dumpxml", "--inactive", t.several).stdout)
    equal([d for d in drivers if d[1] != "disk.config"], [("qcow2", n) for n in ("disk", "disk.eph0", "disk.eph1", "disk.eph2", "disk.swap")], "formats")
    equal(guest.boots(t.agent, t.several) >= 1, True, "the guest boots")
    guest.wait_console(t.agent, t.several, "demo: boots=2")


def ResizeTakesTheFormatOfTheRecordNotOfImagesType(t):
    t.flavor("larger", "--disk", "2", "--ephemeral", "4", "--swap", "64")
    t.agent.ctl("server", "resize", "--flavor", "larger", "--wait", "several")
    t.agent.ctl("server", "resize", "confirm", "several")
    t.agent.wait_status(t.several, "ACTIVE")
    disk = info(INSTANCES / t.several / "disk")
    equal((disk["format"], disk["virtual-size"]), ("qcow2", 2 * GIB), "root disk")
    equal((record(t.several)["local_disks"][0]["storage"], record(t.several)["local_disks"][0]["size_bytes"]), ("qcow2", 2 * GIB), "its record")
    guest.wait_console(t.agent, t.several, "demo: ready")


def FlatDisksArePreallocatedAndUseNativeIo(t):
    t.flat = t.create("flat", "t1es", script=LOOK)
    disks, kinds, _ = seen(t, t.flat)
    equal({name: kib for name, (kib, _) in disks.items()}, {"vda": 1 << 20, "vdb": 1 << 20, "vdc": 64 << 10}, "disks in KiB")
    equal(kinds, {"vda": [], "vdb": ["ext4"], "vdc": ["swap"]}, "contents")
    folder = INSTANCES / t.flat
    equal(json.loads((folder / "disk.info").read_text()), {str(folder / name): "raw" for name in ("disk", "disk.eph0", "disk.swap")}, "disk.info")
    for name, size in (("disk", GIB), ("disk.eph0", GIB), ("disk.swap", 64 * MIB)):
        facts = (folder / name).stat()
        equal(facts.st_size, size, f"size of {name}")
        check(facts.st_blocks * 512 >= size, f"{name} has only {facts.st_blocks * 512} bytes allocated")
    xml = virsh("dumpxml", "--inactive", t.flat).stdout
    equal(re.findall(r"<driver name='qemu' type='raw' cache='none' io='(\w+)' discard='(\w+)'/>", xml)[:3], [("native", "unmap")] * 3, "drivers")


def CacheModeFollowsTheKindOfSource(t):
    t.start(libvirt__images_type="raw", preallocate_images="space", libvirt__disk_cachemodes="file=writeback,network=none")
    t.agent.ctl("server", "reboot", "--hard", "--wait", "flat")
    drivers = re.findall(r"<driver name='qemu' type='raw' cache='(\w+)' io='(\w+)'/>", virsh("dumpxml", "--inactive", t.flat).stdout)
    equal(drivers[:3], [("writeback", "threads")] * 3, "cache and io")
    t.delete("flat")


# --- the cache

def CacheListTellsSizeUsersAgeAndState(t):
    t.start(image_cache__manager_interval=-1)
    # An agent that ended right after a build left the base's checksum to the next look at the cache.
    t.agent.ctl("image", "cache", "verify")
    cached = t.cached()
    equal(set(cached), {sha1(t.image), "ephemeral_2_40d1d2c", "ephemeral_1_0706d66", "ephemeral_1_310201b", "ephemeral_1_40d1d2c", "swap_64"}, "bases")
    base = cached[sha1(t.image)]
    equal((base["Image"], base["Image ID"], base["Size"], base["Used By"], base["State"]), ("demo", t.image, 64 * MIB, [t.several], "good"), "the image's base")
    equal(cached["ephemeral_1_40d1d2c"]["Used By"], [], "users of the base that only the deleted server used")
    check(all(isinstance(b["Age"], int) and 0 <= b["Age"] < 3600 for b in cached.values()), f"ages: {cached}")


def OnlyBasesThatNothingUsesAreRemovedAndOnlyWhenOld(t):
    removed = lambda *more: [r["Removed"] for r in json.loads(t.agent.ctl("image", "cache", "clean", *more, "-f", "json").stdout)]
    equal(removed(), [], "removed within remove_unused_original_minimum_age_seconds")
    equal(removed("--min-age", "0"), ["ephemeral_1_40d1d2c"], "removed at any age")
    check(sha1(t.image) in t.cached(), "a base in use was removed")
    # The overlay alone keeps its base: the record is another host's, or gone.
    foreign = INSTANCES / "00000000-0000-4000-8000-000000000001"
    foreign.mkdir()
    (BASE / "swap_128").write_bytes(b"\0" * MIB)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(BASE / "swap_128"), str(foreign / "disk.swap")], check=True)
    equal(removed("--min-age", "0"), [], "removed while an overlay hangs on it")
    equal(t.cached()["swap_128"]["Used By"], [foreign.name], "users")
    (foreign / "disk.swap").unlink()
    foreign.rmdir()
    equal(removed("--min-age", "0"), ["swap_128"], "removed then")


def DamagedBaseIsFoundFetchedAgainAndItsInstancesAreNamed(t):
    base = BASE / sha1(t.image)
    content = base.read_bytes()
    verify = lambda: {r["Base"]: r["Result"] for r in json.loads(t.agent.ctl("image", "cache", "verify", "-f", "json").stdout)}
    verify()  # what was made right before an agent was stopped has no checksum yet
    equal(set(verify().values()), {"good"}, "results")
    with open(base, "r+b") as file:
        file.seek(2 * MIB + 17)
        file.write(b"rot")
    equal(verify()[base.name], "fetched again", "result")
    check(base.read_bytes() == content, "the base is not the image's content")
    says(t.agent.new_log(), f"base {base.name} is damaged and was fetched again", t.several)
    equal(t.cached()[base.name]["State"], "good", "state")


def BaseThatCannotBeMadeAgainIsShownAsDamagedAndNotUsed(t):
    base = BASE / "swap_64"
    with open(base, "r+b") as file:
        file.seek(1 * MIB)
        file.write(b"rot")
    t.agent.ctl("image", "cache", "verify", "swap_64")
    equal(t.cached()["swap_64"]["State"], "damaged", "state")
    uuid = t.agent.create("on-damage", t.image, json.loads(t.agent.ctl("flavor", "show", "t1es", "-f", "json").stdout)["id"])
    says(json.dumps(t.agent.wait_status(uuid, "ERROR")["fault"]), "damaged")
    t.delete("on-damage")
    with open(base, "r+b") as file:
        file.seek(1 * MIB)
        file.write(b"\0\0\0")
    equal(json.loads(t.agent.ctl("image", "cache", "verify", "swap_64", "-f", "json").stdout)[0]["Result"], "good", "once it is whole again")


def BytesOfTheCacheCountAsUsedDisk(t):
    used = lambda: json.loads(t.agent.ctl("hypervisor", "show", "lab", "-f", "json").stdout)["local_gb_used"]
    before = used()
    subprocess.run(["fallocate", "-l", "2G", str(BASE / "swap_2048")], check=True)
    t.agent.ctl("image", "cache", "clean")
    equal(used(), before + 2, "GiB used")
    t.agent.ctl("image", "cache", "clean", "--min-age", "0")
    equal(used(), before, "GiB used after it was removed")


def DeleteAndCleanLeaveNothing(t):
    t.delete("several")
    t.agent.ctl("image", "cache", "clean", "--min-age", "0")
    equal(sorted(p.name for p in BASE.iterdir()), [], "_base")
    equal([p.name for p in INSTANCES.iterdir() if p.name not in ("_base", "locks")], [], "instances")
    equal(t.agent.stop(), 0, "exit status of the agent")


def FullFileSystemFailsTheBuildWithItsNumbersAndLeavesNothing(t):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200m", "tmpfs", str(INSTANCES)], check=True)
    try:
        t.agent = None
        t.start(libvirt__images_type="raw", preallocate_images="space", disk_allocation_ratio=4, libvirt__disk_cachemodes="file=writeback")
        flavor = t.flavor("one")
        first = t.create("first", flavor)
        second = t.agent.create("second", t.image, flavor)
        says(json.dumps(t.agent.wait_status(second, "ERROR")["fault"]), f"no space left on the file system at {INSTANCES}")
        check(not (INSTANCES / second).exists() and not list(INSTANCES.rglob("*.part")), "something was left")
        t.delete("first", "second")
        third = t.create("third", flavor)
        t.delete("third")
        equal([p.name for p in INSTANCES.iterdir() if p.name not in ("_base", "locks")], [], f"instances after {first} and {third}")
        equal(t.agent.stop(), 0, "exit status of the agent")
    finally:
        subprocess.run(["umount", "-l", str(INSTANCES)], check=True)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        tap.run([GuestSeesRootEphemeralDisksAndSwapInNovasOrder, EachDiskIsAnOverlayOnASharedBaseAndDescribedInDiskInfo,
                 EphemeralAndSwapAreClaimedAsDisk, OrderOfMoreThanTheFlavorHasIsRefused, FlavorsEphemeralAndSwapMeanWhatNovaWrote,
                 ChangedImagesTypeDoesNotTouchDisksThatAreThere, ResizeTakesTheFormatOfTheRecordNotOfImagesType, FlatDisksArePreallocatedAndUseNativeIo, CacheModeFollowsTheKindOfSource,
                 CacheListTellsSizeUsersAgeAndState,
                 OnlyBasesThatNothingUsesAreRemovedAndOnlyWhenOld, DamagedBaseIsFoundFetchedAgainAndItsInstancesAreNamed,
                 BaseThatCannotBeMadeAgainIsShownAsDamagedAndNotUsed, BytesOfTheCacheCountAsUsedDisk, DeleteAndCleanLeaveNothing,
                 FullFileSystemFailsTheBuildWithItsNumbersAndLeavesNothing], World(scratch))


main()
