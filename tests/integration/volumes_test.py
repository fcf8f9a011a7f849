"""Volumes on real libvirt and QEMU: what is attached is told by the guest itself."""
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["SOURCE_ROOT"]) / "tests/faults"))
import tiny_guest
from harness import guest, iso, tap
from harness.agent import INSTANCES, Agent, Failed, virsh, wait_for
from harness.check import check, equal, says

VOLUMES = Path("/var/lib/nova/volumes")
GIB = 1 << 30
DETACH_SECONDS = 2


class Volumes:
    """One agent and one server, demo, that the cases work on one after the other."""

    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.options = dict(cpu_allocation_ratio=16, shutdown_timeout=30, libvirt__device_detach_timeout=DETACH_SECONDS,
                            libvirt__device_detach_attempts=10)
        self.agent = Agent(scratch, **self.options)

    def ctl(self, *args):
        return json.loads(self.agent.ctl(*args, "-f", "json").stdout)

    def volume(self, name_or_id):
        return self.ctl("volume", "show", name_or_id)

    def wait_volume(self, volume, status, seconds=90):
        """The volume once it has that status; another status in which it rests ends the wait."""
        def look():
            answer, body = self.agent.call("GET", f"/volume/v3/volumes/{volume}")
            if answer == 404:
                return status == "gone" and {"status": "gone"}
            found = body["volume"]
            if found["status"].startswith("error") and found["status"] != status:
                raise Failed(f"volume {volume}: {found}")
            return found if found["status"] == status else None
        return wait_for(f"volume {volume} to be {status}", look, seconds)

    def create(self, name, *more):
        made = self.ctl("volume", "create", *more, name)
        self.wait_volume(made["id"], "available")
        return made["id"]

    def says(self, pattern):
        return guest.wait_console(self.agent, self.server, pattern)


def path_of(volume):
    return VOLUMES / f"volume-{volume}"


def mark(volume, text):
    """Writes the disk's first sector from outside."""
    with open(path_of(volume), "r+b") as disk:
        disk.write(text.encode().ljust(512, b"\0"))
        disk.flush()
        os.fsync(disk.fileno())


def second_sector(path):
    with open(path, "rb") as disk:
        disk.seek(512)
        return disk.read(512).decode(errors="replace").strip("\0 ")


def disks_of(server, *more):
    """target -> serial of each disk in the domain's XML."""
    xml = virsh("dumpxml", server, *more).stdout
    disks = re.findall(r"<disk .*?</disk>", xml, re.S)
    return {re.search(r"<target dev='(\w+)'", d).group(1): (re.search(r"<serial>(.*?)</serial>", d) or [None, None])[1] for d in disks}


# --- volumes

def AVolumeIsASparseFileOfItsSizeThatNobodyElseReads(t):
    t.agent.start()
    t.flavor = t.agent.flavor("small", ram=128, disk=1)
    t.network = t.agent.network("net1")
    t.image = t.agent.image(guest.QCOW2, "qcow2", "demo")
    t.first = t.create("first", "--size", "2", "--description", "a disk", "--property", "a=b")
    info = path_of(t.first).stat()
    equal((info.st_size, info.st_mode & 0o777), (2 * GIB, 0o600), "size and mode of the file")
    check(info.st_blocks * 512 < 1 << 20, f"the file takes {info.st_blocks * 512} bytes")
    shown = t.volume("first")
    equal([shown[k] for k in ("id", "size", "status", "description", "bootable", "multiattach", "attachments")],
          [t.first, 2, "available", "a disk", "false", False, []], "the volume as shown")
    listed = t.ctl("volume", "list")
    equal([(v["ID"], v["Name"], v["Status"], v["Size"], v["Attached to"]) for v in listed], [(t.first, "first", "available", 2, [])], "the list")


# --- a guest that runs

def AGuestGetsAVolumeWhileItRunsAndReadsAndWritesIt(t):
    t.server = t.agent.create("demo", t.image, t.flavor, [t.network])
    t.agent.wait_status(t.server, "ACTIVE")
    guest.wait_ready(t.agent, t.server)
    mark(t.first, "demo-write hello from outside")
    t.agent.ctl("server", "add", "volume", "demo", "first")
    t.says(rf"demo: disk added vdb bytes={2 * GIB} serial={t.first[:20]} content=demo-write hello from outside")
    t.says(r"demo: disk written vdb")
    equal(second_sector(path_of(t.first)), "written by demo as vdb", "what the guest wrote")
    volume = t.wait_volume(t.first, "in-use")
    equal([(a["server_id"], a["device"]) for a in volume["attachments"]], [(t.server, "/dev/vdb")], "attachments of the volume")
    equal(t.agent.server(t.server)["os-extended-volumes:volumes_attached"], [{"id": t.first, "delete_on_termination": False}], "the server's volumes")
    for more in ((), ("--inactive",)):
        equal(disks_of(t.server, *more).get("vdb"), t.first, f"disk vdb in the domain's XML {more}")


def AnAttachedVolumeIsNeitherDeletedNorAttachedTwice(t):
    for words in (("volume", "delete", "first"), ("server", "add", "volume", "demo", "first"), ("volume", "snapshot", "create", "--volume", "first", "s")):
        done = t.agent.ctl(*words, check=False)
        check(done.returncode == 1 and "in-use" in done.stderr + done.stdout or "attached" in done.stderr, f"{words}: {done}")
    equal(t.wait_volume(t.first, "in-use")["attachments"][0]["server_id"], t.server, "whose it is")


def AVolumeIsExtendedWhileTheGuestUsesIt(t):
    t.agent.ctl("volume", "set", "--size", "3", "first")
    t.says(rf"demo: disk resized vdb bytes={3 * GIB}")
    equal(t.wait_volume(t.first, "in-use")["size"], 3, "size shown")


def ASnapshotOfAnAttachedVolumeHoldsItAsItIs(t):
    made = t.ctl("volume", "snapshot", "create", "--volume", "first", "--force", "snap1")
    wait_for("the snapshot", lambda: t.ctl("volume", "snapshot", "show", "snap1")["status"] == "available")
    path = VOLUMES / f"snapshot-{made['id']}"
    equal((path.stat().st_size, second_sector(path)), (3 * GIB, "written by demo as vdb"), "size and content of the snapshot")
    check(path.stat().st_blocks * 512 < 64 << 20, f"the snapshot takes {path.stat().st_blocks * 512} bytes")
    t.copy = t.create("copy", "--snapshot", "snap1")
    equal(second_sector(path_of(t.copy)), "written by demo as vdb", "content of the volume made from it")


def ARestartedGuestHasTheSameDisks(t):
    t.agent.action(t.server, {"reboot": {"type": "HARD"}})
    t.agent.wait_status(t.server, "ACTIVE")
    t.says(rf"demo: disk there vdb bytes={3 * GIB} serial={t.first[:20]} content=demo-write hello from outside[\s\S]*demo: ready")


def ADetachedVolumeLeavesGuestAndDefinition(t):
    t.agent.ctl("server", "remove", "volume", "demo", "first")
    t.says(r"demo: disk removed vdb")
    equal(t.wait_volume(t.first, "available")["attachments"], [], "attachments")
    for more in ((), ("--inactive",)):
        check("vdb" not in disks_of(t.server, *more), f"vdb is still in the domain's XML {more}")
    equal(t.agent.server(t.server)["os-extended-volumes:volumes_attached"], [], "the server's volumes")


def ADeviceNameIsTakenAsGivenAndTheNextIsTheNextFreeOne(t):
    t.agent.ctl("server", "add", "volume", "--device", "/dev/vdd", "--tag", "data", "demo", "first")
    t.agent.ctl("server", "add", "volume", "demo", "copy")
    t.wait_volume(t.first, "in-use")
    t.wait_volume(t.copy, "in-use")
    listed = t.ctl("server", "volume", "list", "demo")
    equal({a["Volume ID"]: a["Device"] for a in listed}, {t.first: "/dev/vdd", t.copy: "/dev/vdb"}, "devices")


def ATagIsToldByTheConfigDrive(t):
    devices = json.loads(iso.files(INSTANCES / t.server / "disk.config")["openstack/latest/meta_data.json"])["devices"]
    equal([(d["type"], d["serial"], d["path"], d["tags"]) for d in devices], [("disk", t.first, "/dev/vdd", ["data"])], "devices in meta_data.json")


def AServerThatIsOffGivesAndTakesVolumesToo(t):
    t.agent.action(t.server, {"os-stop": None})
    t.agent.wait_status(t.server, "SHUTOFF")
    t.agent.ctl("server", "remove", "volume", "demo", "copy")
    t.wait_volume(t.copy, "available")
    check("vdb" not in disks_of(t.server), "vdb is still in the definition")
    t.third = t.create("third", "--source", "copy")
    t.agent.ctl("server", "add", "volume", "--enable-delete-on-termination", "demo", "third")
    t.wait_volume(t.third, "in-use")
    t.agent.action(t.server, {"os-start": None})
    t.agent.wait_status(t.server, "ACTIVE")
    t.says(rf"demo: disk there vdb bytes={3 * GIB} serial={t.third[:20]} content=demo-write hello from outside")
    # A guest names its disks in their order; the serial tells which is which.
    t.says(rf"demo: disk there vdc bytes={3 * GIB} serial={t.first[:20]}")


def ADeleteOfTheServerGivesVolumesBackAndTakesThoseThatGoWithIt(t):
    t.agent.call("DELETE", f"/compute/v2.1/servers/{t.server}")
    t.agent.wait_status(t.server, "DELETED")
    t.wait_volume(t.third, "gone")
    check(not path_of(t.third).exists(), "the file of the deleted volume is there")
    equal(t.wait_volume(t.first, "available")["attachments"], [], "attachments")
    equal(second_sector(path_of(t.first)), "written by demo as vdc", "content of the volume that stays")


# --- a guest that holds on

def AGuestThatHoldsOnKeepsItsVolumeAndTheOrderSaysWhatToDo(t):
    path = t.scratch / "polite"
    path.write_bytes(tiny_guest.image(tiny_guest.POLITE))
    server = t.agent.create("tiny", t.agent.image(path, "raw", "tiny"), t.flavor, [t.network])
    t.agent.wait_status(server, "ACTIVE")
    equal(t.agent.stop(), 0, "exit status of the agent")
    t.agent = Agent(t.scratch, **{**t.options, "libvirt__device_detach_timeout": 1, "libvirt__device_detach_attempts": 2}).start()
    t.agent.ctl("server", "add", "volume", "tiny", "first")
    t.wait_volume(t.first, "in-use")
    t.agent.ctl("server", "remove", "volume", "tiny", "first")
    t.wait_volume(t.first, "detaching")
    volume = t.wait_volume(t.first, "in-use")
    equal([a["server_id"] for a in volume["attachments"]], [server], "whose it is")
    says(volume["fault"], "can't be detached")
    for more in ((), ("--inactive",)):
        equal(disks_of(server, *more).get("vdb"), t.first, f"vdb in the domain's XML {more}")
    action = t.agent.actions(server)[0]
    says(json.dumps(action), "did not let vdb go", "stop the server, then detach it again")
    equal((action["message"], t.agent.server(server)["status"]), ("Error", "ACTIVE"), "the action and the server")
    t.agent.action(server, {"os-stop": None})
    t.agent.wait_status(server, "SHUTOFF")
    t.agent.ctl("server", "remove", "volume", "tiny", "first")
    t.wait_volume(t.first, "available")
    t.agent.ctl("server", "delete", "--wait", "tiny")


# --- boot from volume

def AServerBootsFromAVolumeMadeOfItsImageAndHasNoOtherDisk(t):
    t.agent.ctl("server", "create", "--image", "demo", "--boot-from-volume", "1", "--flavor", "small", "--network", "net1", "bfv")
    t.server = t.ctl("server", "show", "bfv")["id"]
    t.agent.wait_status(t.server, "ACTIVE", 120)
    guest.wait_ready(t.agent, t.server)
    shown = t.agent.server(t.server)
    equal(shown["image"], "", "image of the server")
    root = shown["os-extended-volumes:volumes_attached"][0]["id"]
    equal(disks_of(t.server)["vda"], root, "serial of vda")
    check(not (INSTANCES / t.server / "disk").exists(), "there is a local root disk")
    t.says(rf"demo: disk there vda bytes={GIB} serial={root[:20]}")
    equal(guest.boots(t.agent, t.server), 1, "boots of this disk")
    done = t.agent.ctl("server", "remove", "volume", "bfv", root, check=False)
    check(done.returncode == 1 and "root device" in done.stderr, f"detaching the root: {done}")
    t.root = root


def AServerBootsFromAnExistingVolumeThatKeptItsContent(t):
    t.agent.ctl("server", "delete", "--wait", "bfv")
    t.wait_volume(t.root, "available")
    t.agent.ctl("volume", "set", "--bootable", t.root)
    t.agent.ctl("server", "create", "--volume", t.root, "--flavor", "small", "--network", "net1",
                "--block-device", f"uuid={t.copy},source_type=volume,boot_index=-1,tag=second", "again")
    t.server = t.ctl("server", "show", "again")["id"]
    t.agent.wait_status(t.server, "ACTIVE", 120)
    equal(int(t.says(r"demo: boots=(\d+)").group(1)), 2, "boots of this disk")
    t.says(rf"demo: disk there vdb bytes={3 * GIB} serial={t.copy[:20]}")
    t.agent.ctl("server", "delete", "--wait", "again")
    for volume in (t.root, t.copy):
        t.wait_volume(volume, "available")


# --- several servers, refusals

def AVolumeIsSharedOnlyWhenItIsMarkedSo(t):
    shared = t.create("shared", "--size", "1", "--multi-attach")
    servers = [t.agent.create(name, t.image, t.flavor) for name in ("one", "two")]
    for server in servers:
        t.agent.wait_status(server, "ACTIVE")
        t.agent.ctl("server", "add", "volume", server, "shared")
        t.wait_volume(shared, "in-use")
    equal(sorted(a["server_id"] for a in t.wait_volume(shared, "in-use")["attachments"]), sorted(servers), "servers of the volume")
    says(virsh("dumpxml", servers[1]).stdout, "<shareable/>")
    t.agent.ctl("server", "add", "volume", servers[0], "first")
    t.wait_volume(t.first, "in-use")
    status, answer = t.agent.call("POST", f"/compute/v2.1/servers/{servers[1]}/os-volume_attachments", {"volumeAttachment": {"volumeId": t.first}})
    equal(status, 400, f"status of the second attachment ({answer})")
    t.agent.ctl("server", "delete", "--wait", *servers)
    equal(t.wait_volume(shared, "available")["attachments"], [], "attachments")
    t.wait_volume(t.first, "available")


# --- crashes

def WorkOnVolumesThatAKillCutOffIsFinishedAtTheNextStart(t):
    make = lambda: t.create("cut", "--size", "1")
    snap = lambda: t.ctl("volume", "snapshot", "create", "--volume", make(), "cut")["id"]
    post = lambda path, body: lambda _: t.agent.call("POST", f"/volume/v3/{path}", body)
    of_volume = lambda volume: t.agent.call("POST", "/volume/v3/snapshots", {"snapshot": {"volume_id": volume, "name": "cut"}})
    extend = lambda volume: t.agent.call("POST", f"/volume/v3/volumes/{volume}/action", {"os-extend": {"new_size": 2}})
    delete = lambda kind: lambda one: t.agent.call("DELETE", f"/volume/v3/{kind}/{one}")
    # point: (what it needs, the order, what there is of each in the end)
    cases = {"volume/create": (lambda: None, post("volumes", {"volume": {"size": 1, "name": "cut", "imageRef": t.image}}), ([("available", 1)], [])),
             "volume/extend": (make, extend, ([("available", 2)], [])),
             "volume/delete": (make, delete("volumes"), ([], [])),
             "snapshot/create": (make, of_volume, ([("available", 1)], [("available", 1)])),
             "snapshot/delete": (snap, delete("snapshots"), ([("available", 1)], []))}
    for name, (needs, order, wanted) in cases.items():
        for where in ("before", "ran"):
            cut_off(t, f"{name}:{where}", needs, order, wanted)


def cut_ones(t):
    """Volumes and snapshots of the test, as (status, size)."""
    return tuple([(v["status"], v["size"]) for v in t.agent.ok("GET", f"/volume/v3/{kind}/detail?name=cut")[kind]] for kind in ("volumes", "snapshots"))


def cut_off(t, point, needs, order, wanted):
    """The agent dies at the point and is started again: the work ends as it was ordered, and nothing else is there."""
    one = needs()
    wait_for("what the case needs", lambda: all(status == "available" for kind in cut_ones(t) for status, _ in kind))
    equal(t.agent.stop(), 0, "exit status of the agent")
    t.agent.start(f"{point}=kill")
    try:
        order(one)
    except (OSError, http.client.HTTPException):
        pass  # it died before it could answer
    equal(t.agent.wait_death(), -9, f"how the agent ended at {point}")
    t.agent.start()
    wait_for(f"{wanted} after {point}, there is {cut_ones(t)}", lambda: cut_ones(t) == wanted)
    volumes, snapshots = (t.agent.ok("GET", f"/volume/v3/{kind}/detail")[kind] for kind in ("volumes", "snapshots"))
    sizes = {f"volume-{v['id']}": v["size"] * GIB for v in volumes if v["backend"] == "file"}
    sizes |= {f"snapshot-{s['id']}": s["size"] * GIB for s in snapshots}
    equal({p.name: p.stat().st_size for p in VOLUMES.iterdir()}, sizes, f"files and their sizes after {point}")
    for kind in ("snapshots", "volumes"):
        for left in t.agent.ok("GET", f"/volume/v3/{kind}/detail?name=cut")[kind]:
            t.agent.call("DELETE", f"/volume/v3/{kind}/{left['id']}")
        wait_for(f"no {kind} to be left", lambda: not t.agent.ok("GET", f"/volume/v3/{kind}/detail?name=cut")[kind])


# --- volumes of another service

PASSWORD = "a-secret-of-twelve"


def tgtadm(*words):
    done = subprocess.run(["tgtadm", "--lld", "iscsi", *words], capture_output=True, text=True, timeout=30)
    return done.returncode == 0 or done.stderr


def AVolumeOfAnIscsiTargetWithChapIsAttachedAndItsPasswordIsShownNowhere(t):
    if not shutil.which("tgtd"):
        raise tap.Skip("there is no tgtd; install the package tgt")
    disk, iqn = t.scratch / "lun", "iqn.2026-01.org.example:vol1"
    disk.write_bytes(b"demo-write from the target".ljust(512, b"\0"))
    os.truncate(disk, 64 << 20)
    Path("/var/run/tgtd").mkdir(exist_ok=True)
    target = subprocess.Popen(["tgtd", "-f", "--iscsi", "portal=127.0.0.1:3260"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("tgtd to answer", lambda: tgtadm("--op", "show", "--mode", "target") is True)
        for words in (("--op", "new", "--mode", "target", "--tid", "1", "-T", iqn),
                      ("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", str(disk)),
                      ("--op", "new", "--mode", "account", "--user", "agent", "--password", PASSWORD),
                      ("--op", "bind", "--mode", "account", "--tid", "1", "--user", "agent"),
                      ("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")):
            equal(tgtadm(*words), True, f"tgtadm {words}")
        use_iscsi(t, disk, iqn)
    finally:
        target.kill()
        target.wait()


def use_iscsi(t, disk, iqn):
    data = {"target_portal": "127.0.0.1:3260", "target_iqn": iqn, "target_lun": 1, "auth_method": "CHAP", "auth_username": "agent"}
    connect = lambda password: t.agent.ok("POST", "/agent/v1/volumes/connected", {"volume": {"name": "remote", "size": 1, "connection_info": {
        "driver_volume_type": "iscsi", "data": {**data, "auth_password": password}}}})["volume"]["id"]
    volume, wrong = connect(PASSWORD), connect("not-the-password")
    key = Path("/var/lib/compute-agent/secrets") / volume
    equal((key.read_text(), key.stat().st_mode & 0o777), (PASSWORD, 0o600), "the key's file")
    t.server = t.agent.create("remote", t.image, t.flavor)
    t.agent.wait_status(t.server, "ACTIVE")
    guest.wait_ready(t.agent, t.server)
    t.agent.ctl("server", "add", "volume", "remote", volume)
    t.says(rf"demo: disk added vdb bytes={64 << 20} serial={volume[:20]} content=demo-write from the target")
    t.says(r"demo: disk written vdb")
    wait_for("the guest's write to reach the target", lambda: second_sector(disk) == "written by remote as vdb")
    t.agent.action(t.server, {"reboot": {"type": "HARD"}})
    t.agent.wait_status(t.server, "ACTIVE")
    t.says(rf"demo: disk there vdb bytes={64 << 20} serial={volume[:20]}")
    guest.wait_ready(t.agent, t.server)
    t.agent.ctl("server", "remove", "volume", "remote", volume)
    t.wait_volume(volume, "available")
    equal(virsh("secret-list").stdout.strip(), "", "secrets that libvirt keeps")
    t.agent.ctl("server", "add", "volume", "remote", wrong)
    t.wait_volume(wrong, "available")
    equal(t.agent.server(t.server)["os-extended-volumes:volumes_attached"], [], "volumes after a refused login")
    t.agent.ctl("server", "delete", "--wait", "remote")
    said_nowhere(t, PASSWORD, volume)
    for one in (volume, wrong):
        t.agent.ctl("volume", "delete", one)
        t.wait_volume(one, "gone")
    check(not key.exists(), "the key's file is left")


def said_nowhere(t, secret, volume):
    texts = {"the log": t.agent.log.read_text(), "volume show": t.agent.ctl("volume", "show", volume).stdout,
             "server events": json.dumps(t.agent.ok("GET", "/volume/v3/volumes/detail"))}
    for path in (*Path("/var/lib/compute-agent").glob("agent.db*"), *INSTANCES.rglob("*.json")):
        texts[str(path)] = path.read_bytes().decode(errors="replace")
    equal([name for name, text in texts.items() if secret in text], [], "places that show the password")


def AConnectionThatNamesForeignPathsOrMakesNoSenseIsRefused(t):
    good = {"driver_volume_type": "local", "data": {"device_path": "/dev/sdz"}}
    for info in ({**good, "data": {"device_path": "/etc/passwd"}}, {**good, "data": {"device_path": "/dev/../etc/passwd"}}, {**good, "driver_volume_type": "fibre"},
                 {**good, "data": {"device_path": "/dev/sdz", "password": "x"}}, {"driver_volume_type": "nfs", "data": {"export": "10.0.0.1:/e", "name": "../x"}},
                 {"driver_volume_type": "iscsi", "data": {"target_portal": "x", "target_iqn": "iqn.x", "target_lun": 0}}):
        status, answer = t.agent.call("POST", "/agent/v1/volumes/connected", {"volume": {"size": 1, "connection_info": info}})
        equal(status, 400, f"status of {info} ({answer})")


CASES = [AVolumeIsASparseFileOfItsSizeThatNobodyElseReads, AGuestGetsAVolumeWhileItRunsAndReadsAndWritesIt,
         AnAttachedVolumeIsNeitherDeletedNorAttachedTwice, AVolumeIsExtendedWhileTheGuestUsesIt, ASnapshotOfAnAttachedVolumeHoldsItAsItIs,
         ARestartedGuestHasTheSameDisks, ADetachedVolumeLeavesGuestAndDefinition, ADeviceNameIsTakenAsGivenAndTheNextIsTheNextFreeOne,
         ATagIsToldByTheConfigDrive, AServerThatIsOffGivesAndTakesVolumesToo, ADeleteOfTheServerGivesVolumesBackAndTakesThoseThatGoWithIt,
         AGuestThatHoldsOnKeepsItsVolumeAndTheOrderSaysWhatToDo, AServerBootsFromAVolumeMadeOfItsImageAndHasNoOtherDisk,
         AServerBootsFromAnExistingVolumeThatKeptItsContent, AVolumeIsSharedOnlyWhenItIsMarkedSo, WorkOnVolumesThatAKillCutOffIsFinishedAtTheNextStart,
         AVolumeOfAnIscsiTargetWithChapIsAttachedAndItsPasswordIsShownNowhere, AConnectionThatNamesForeignPathsOrMakesNoSenseIsRefused]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        tests = Volumes(scratch)
        try:
            tap.run(CASES, tests)
        finally:
            print("".join(f"# {line}\n" for line in tests.agent.new_log().splitlines()[-60:]), end="")
            tests.agent.kill()
