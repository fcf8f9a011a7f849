"""Volumes on real libvirt and QEMU: what is attached is told by the guest itself."""
import json
import os
import re
import tempfile
from pathlib import Path

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


CASES = [AVolumeIsASparseFileOfItsSizeThatNobodyElseReads, AGuestGetsAVolumeWhileItRunsAndReadsAndWritesIt,
         AnAttachedVolumeIsNeitherDeletedNorAttachedTwice, AVolumeIsExtendedWhileTheGuestUsesIt, ASnapshotOfAnAttachedVolumeHoldsItAsItIs,
         ARestartedGuestHasTheSameDisks, ADetachedVolumeLeavesGuestAndDefinition, ADeviceNameIsTakenAsGivenAndTheNextIsTheNextFreeOne]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        tests = Volumes(scratch)
        try:
            tap.run(CASES, tests)
        finally:
            print("".join(f"# {line}\n" for line in tests.agent.new_log().splitlines()[-60:]), end="")
            tests.agent.stop()
