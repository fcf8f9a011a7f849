"""Images of instances, and instances on another root disk: snapshot, backup, shelve, rescue, rebuild. What was kept is read by a guest."""
import hashlib
import json
import struct
import subprocess
import tempfile
import time
import xml.etree.ElementTree as xml
from pathlib import Path

from harness import guest, iso, tap
from harness.agent import DATA, INSTANCES, Agent, domains, virsh, wait_for
from harness.check import check, equal, say, says

IMAGES = "/image/v2/images"
SECRET = "the host's own secret"
# Runs at every boot, in the rescue disk as well: which disks there are, how often each was booted, how each begins.
LOOK = """#!/bin/sh
for disk in vda vdb vdc; do
  [ -b /dev/$disk ] || continue
  boots=$(dd if=/dev/$disk bs=512 skip=2040 count=1 2>/dev/null | tr -cd 0-9)
  echo "$disk boots=$boots sectors=$(cat /sys/block/$disk/size) magic=$(dd if=/dev/$disk bs=4 count=1 2>/dev/null | od -An -tx1 | tr -d ' ')."
done
"""


class Lab:
    def __init__(self, scratch):
        self.scratch = Path(scratch)
        self.options = dict(cpu_allocation_ratio=32, shutdown_timeout=60)
        self.agent = Agent(scratch, **self.options).start()
        self.flavor = self.agent.flavor("t1", ram=128, disk=1)
        self.agent.flavor("t0", ram=128, disk=0)
        self.network = self.agent.network("net1")
        self.image = self.agent.image(guest.QCOW2, "qcow2", "demo", os_distro="demo", hw_rng_model="virtio", min_ram=64)
        (self.scratch / "look").write_text(LOOK)

    def restart(self, fault="", **options):
        equal(self.agent.stop(), 0, "exit status of the agent")
        self.agent = Agent(self.scratch, **{**self.options, **options}).start(fault)

    def json(self, *args):
        return json.loads(self.agent.ctl(*args, "-f", "json").stdout)

    def create(self, name, image="demo", flavor="t1", data="look"):
        made = self.json("server", "create", "--image", image, "--flavor", flavor, "--network", "net1", "--user-data", str(self.scratch / data), "--wait", name)
        return made["id"]

    def looks(self, uuid):
        """disk -> (boots, sectors, first four bytes), as the guest sees its disks."""
        guest.wait_console(self.agent, uuid, "demo: user-data: done")
        found = {}
        for line in guest.console(self.agent, uuid).splitlines():
            if line.startswith("demo: user-data: vd"):
                disk, boots, sectors, magic = line.strip().split(": ")[2].split()
                found[disk] = (int(boots.split("=")[1] or 0), int(sectors.split("=")[1]), magic.split("=")[1].rstrip("."))
        return found

    def image_of(self, image_id):
        return self.agent.ok("GET", f"{IMAGES}/{image_id}")

    def images(self):
        return {i["id"]: i["status"] for i in self.agent.ok("GET", IMAGES)["images"]}

    def settled(self, uuid, *images):
        """No task, no job, no file, no image but these (and the demo image)."""
        self.agent.wait_idle()
        equal(self.images(), {i: "active" for i in (self.image, *images)}, "images")
        equal({p.name for p in (DATA / "images").iterdir()}, {self.image, *images}, "stored images")
        equal([str(p) for p in INSTANCES.rglob("*.part")], [], "files of unfinished copies")
        if uuid and domains().get(uuid) in ("running", "paused"):
            equal(jobs(uuid), [], "block jobs")
        if uuid:
            equal(self.agent.server(uuid)["OS-EXT-STS:task_state"], None, "task")


def stored(image_id):
    return DATA / "images" / image_id


def disks(uuid, *flags):
    """(target, file name, format, device) of each disk in the domain's XML."""
    tree = xml.fromstring(virsh("dumpxml", *flags, uuid).stdout)
    return [(d.find("target").get("dev"), Path(d.find("source").get("file")).name, d.find("driver").get("type"), d.get("device")) for d in tree.iter("disk")]


def jobs(uuid):
    return [target for target, *_ in disks(uuid) if virsh("blockjob", uuid, target, "--info", check=False).stdout.strip()]


def info(path):
    return json.loads(subprocess.run(["qemu-img", "info", "-U", "--output=json", str(path)], check=True, capture_output=True, text=True).stdout)


def check_stored(t, image_id, disk_format, virtual=1 << 30):
    """The image's record and its file say the same, and the file stands alone."""
    image, path = t.image_of(image_id), stored(image_id)
    equal((image["status"], image["disk_format"], image["size"], image["virtual_size"]), ("active", disk_format, path.stat().st_size, virtual), "image")
    equal(image["os_hash_value"], hashlib.sha512(path.read_bytes()).hexdigest(), "sha512")
    equal(image["checksum"], hashlib.md5(path.read_bytes()).hexdigest(), "md5")
    if disk_format == "qcow2":
        found = info(path)
        equal((found["format"], found["virtual-size"], found.get("backing-filename")), ("qcow2", virtual, None), "stored file")
        subprocess.run(["qemu-img", "check", "-q", str(path)], check=True)


# --- snapshots

def SnapshotOfARunningServerLeavesItRunning(t):
    t.id = t.create("demo1")
    equal(t.looks(t.id)["vda"][0], 1, "boots")
    t.address = guest.address(t.agent.server(t.id), "net1")
    guest.wait_page(t.address)
    pid, began = guest.qemu_pid(t.id), time.monotonic()
    status, answer = t.agent.action(t.id, {"createImage": {"name": "snap1", "metadata": {"purpose": "test"}}})
    equal(status, 202, f"status ({answer})")
    t.snap = answer["image_id"]
    seen = set()
    while t.image_of(t.snap)["status"] != "active":
        server, image = t.agent.server(t.id), t.image_of(t.snap)
        seen.add((server["OS-EXT-STS:task_state"], image["status"]))
        equal(domains()[t.id], "running", "the guest meanwhile")
        check(time.monotonic() - began < 60, f"the snapshot does not end: {seen}")
    say(f"a live snapshot took {time.monotonic() - began:.2f} s; seen on the way: {sorted(map(str, seen))}")
    wanted = {"image_snapshot_pending": "queued", "image_snapshot": "queued", "image_pending_upload": "queued", "image_uploading": "saving"}
    check(seen and all(task is None or status in (wanted[task], "queued", "saving") for task, status in seen), f"states on the way: {seen}")
    t.settled(t.id, t.snap)
    equal((guest.qemu_pid(t.id), t.agent.server(t.id)["status"]), (pid, "ACTIVE"), "process and status")
    check_stored(t, t.snap, "qcow2")
    image = t.image_of(t.snap)
    equal({k: image.get(k) for k in ("name", "image_type", "base_image_ref", "instance_uuid", "purpose", "os_distro", "hw_rng_model", "min_ram", "min_disk", "visibility")},
          {"name": "snap1", "image_type": "snapshot", "base_image_ref": t.image, "instance_uuid": t.id, "purpose": "test", "os_distro": "demo",
           "hw_rng_model": "virtio", "min_ram": 64, "min_disk": 1, "visibility": "private"}, "properties")
    check("demo1" in guest.page(t.address), "the guest does not answer any more")


def ServerOfASnapshotHasWhatTheFirstOneWrote(t):
    uuid = t.create("copy", "snap1")
    equal(t.looks(uuid)["vda"][:2], (2, (1 << 30) // 512), "boots and sectors of the copy's disk")
    t.agent.ctl("server", "delete", "--wait", "copy")


def SnapshotOfAPausedGuestLeavesItPaused(t):
    virsh("suspend", t.id)
    made = t.json("server", "image", "create", "--name", "paused", "--wait", "demo1")
    equal((made["status"], domains()[t.id]), ("active", "paused"), "image and guest")
    check_stored(t, made["id"], "qcow2")
    virsh("resume", t.id)
    t.agent.ctl("image", "delete", "paused")
    t.settled(t.id, t.snap)


def SnapshotThatFailsLeavesNothing(t):
    for fault in ("snapshot_instance/copy_disk:ran=error", "snapshot_instance/upload_image:ran=error"):
        t.restart(fault)
        failed = t.agent.ctl("server", "image", "create", "--wait", "demo1", check=False)
        check(failed.returncode == 1 and "was given up" in failed.stderr, f"{failed}")
        t.settled(t.id, t.snap)
        equal((domains()[t.id], t.agent.server(t.id)["status"]), ("running", "ACTIVE"), "guest")
        action = t.agent.actions(t.id)[0]
        equal((action["action"], action["message"]), ("createImage", "Error"), "event")
    t.restart()


def SnapshotWhoseImageIsDeletedEndsWithoutOne(t):
    _, answer = t.agent.action(t.id, {"createImage": {"name": "unwanted"}})
    equal(t.agent.call("DELETE", f"{IMAGES}/{answer['image_id']}")[0], 204, "delete")
    t.agent.wait_status(t.id, "ACTIVE")
    t.settled(t.id, t.snap)


def DeleteDuringASnapshotLeavesNeitherServerNorImage(t):
    uuid = t.create("short")
    t.agent.action(uuid, {"createImage": {"name": "unwanted"}})
    t.agent.ctl("server", "delete", "--wait", "short")
    images = t.images()
    extra = set(images) - {t.image, t.snap}
    # Either the snapshot was complete before the delete came, or nothing of it is left.
    check(all(images[i] == "active" for i in extra), f"images: {images}")
    for image in extra:
        t.agent.ok("DELETE", f"{IMAGES}/{image}")
    equal(t.agent.leftovers(uuid), [], "left over")
    t.settled(None, t.snap)


def QuiesceThatTheImageRequiresIsNotLeftOut(t):
    quiet = t.agent.image(guest.QCOW2, "qcow2", "quiet", hw_qemu_guest_agent="yes", os_require_quiesce="yes")
    uuid = t.create("quiet1", "quiet")
    guest.wait_ready(t.agent, uuid)
    failed = t.agent.ctl("server", "image", "create", "--wait", "quiet1", check=False)
    check(failed.returncode == 1, f"{failed}")
    shown = json.dumps(t.agent.actions(uuid)[0])
    says(shown, "can't be quiesced, which its image requires", "qemu-guest-agent")
    t.settled(uuid, t.snap, quiet)
    equal(domains()[uuid], "running", "guest")
    t.agent.ctl("server", "stop", "--wait", "quiet1")
    made = t.json("server", "image", "create", "--name", "quiet-snap", "--wait", "quiet1")
    equal(made["status"], "active", "a stopped one needs no agent")
    t.agent.ctl("server", "delete", "--wait", "quiet1")
    t.agent.ctl("image", "delete", "quiet", "quiet-snap")


def SnapshotOfAStoppedServerIsConverted(t):
    t.agent.ctl("server", "stop", "--wait", "demo1")
    made = t.json("server", "image", "create", "--wait", "demo1")
    equal(made["name"], "demo1", "name: the server's")
    check_stored(t, made["id"], "qcow2")
    t.settled(t.id, t.snap, made["id"])
    equal(t.agent.server(t.id)["status"], "SHUTOFF", "status")
    t.agent.ctl("image", "delete", made["id"])


def SnapshotImageFormatRawMakesRawImages(t):
    t.restart(libvirt__snapshot_image_format="raw")
    made = t.json("server", "image", "create", "--name", "flat", "--wait", "demo1")
    check_stored(t, made["id"], "raw")
    check(stored(made["id"]).stat().st_blocks * 512 < 200 << 20, "the image is not sparse")
    t.agent.ctl("server", "start", "--wait", "demo1")
    live = t.json("server", "image", "create", "--name", "flat-live", "--wait", "demo1")
    check_stored(t, live["id"], "raw")
    uuid = t.create("from-flat", "flat")
    equal(t.looks(uuid)["vda"][0], 2, "boots of the copy")
    t.agent.ctl("server", "delete", "--wait", "from-flat")
    t.agent.ctl("image", "delete", "flat", "flat-live")
    t.restart()


def SnapshotIsRefusedInAStateThatHasNoDiskAtRest(t):
    for body in ({"createImage": {"name": ""}}, {"createImage": {}}, {"createBackup": {"name": "b", "backup_type": "d", "rotation": -1}}):
        equal(t.agent.action(t.id, body)[0], 400, f"status of {body}")
    status, answer = t.agent.send(Agent.envelope("snapshot_instance", {"instance": {"uuid": t.id}, "image_id": t.image}, call=True))
    check(answer.get("failure"), f"an image that has its data was taken for a snapshot's: {status} {answer}")
    t.agent.wait_idle()
    check_stored(t, t.image, "qcow2", 64 << 20)
    t.settled(t.id, t.snap)


def BackupsBeyondTheRotationGo(t):
    t.agent.ctl("server", "stop", "--wait", "demo1")
    daily = [t.json("server", "backup", "create", "--name", f"daily{n}", "--type", "daily", "--rotate", "2", "--wait", "demo1")["id"] for n in range(4)]
    weekly = t.json("server", "backup", "create", "--name", "weekly", "--type", "weekly", "--rotate", "1", "--wait", "demo1")["id"]
    wait_for("the rotation", lambda: daily[1] not in t.images())
    t.settled(t.id, t.snap, *daily[2:], weekly)
    image = t.image_of(weekly)
    equal((image["image_type"], image["backup_type"], image["instance_uuid"]), ("backup", "weekly", t.id), "properties")
    t.agent.ctl("server", "backup", "create", "--name", "none", "--type", "daily", "--rotate", "0", "demo1")
    t.agent.wait_status(t.id, "SHUTOFF")
    t.settled(t.id, t.snap, weekly)
    t.agent.ctl("image", "delete", weekly)
    t.agent.ctl("server", "start", "--wait", "demo1")


# --- rescue

def RescuedGuestHasTheRescueDiskFirstAndItsOwnSecond(t):
    boots = t.looks(t.id)["vda"][0]
    password = "only-for-rescue"
    t.agent.ctl("server", "rescue", "--image", "demo", "--password", password, "--wait", "demo1")
    server = t.agent.server(t.id)
    equal((server["status"], server["OS-EXT-STS:vm_state"], server["OS-EXT-STS:power_state"]), ("RESCUE", "rescued", 1), "state")
    layout = [("vda", "disk.rescue", "qcow2", "disk"), ("vdb", "disk", "qcow2", "disk"), ("hda", "disk.config.rescue", "raw", "cdrom")]
    equal((disks(t.id), disks(t.id, "--inactive")), (layout, layout), "disks, in nova's order")
    seen = t.looks(t.id)
    equal((seen["vda"][:2], seen["vdb"][:2]), ((1, (64 << 20) // 512), (boots, (1 << 30) // 512)), "what the rescued guest sees: boots and sectors of vda and vdb")
    meta = json.loads(iso.files(INSTANCES / t.id / "disk.config.rescue")["openstack/latest/meta_data.json"])
    equal((meta["admin_pass"], meta["uuid"]), (password, t.id), "metadata of the rescue")
    check(password not in t.agent.log.read_text(), "the password is in the log")
    for body in ({"os-start": None}, {"rescue": {}}, {"createImage": {"name": "x"}}):
        status, answer = t.agent.action(t.id, body)
        check(status == 409 and "rescued" in json.dumps(answer), f"{body}: {status} {answer}")
    t.boots = boots


def RescueOutlivesTheAgent(t):
    t.restart()
    equal((t.agent.server(t.id)["status"], domains()[t.id]), ("RESCUE", "running"), "state")


def UnrescuedGuestRunsOnItsOwnDisk(t):
    t.agent.ctl("server", "unrescue", "--wait", "demo1")
    equal(t.agent.server(t.id)["status"], "ACTIVE", "status")
    equal([d[:2] for d in disks(t.id)], [("vda", "disk"), ("hda", "disk.config")], "disks")
    seen = t.looks(t.id)
    equal((set(seen), seen["vda"][0]), ({"vda"}, t.boots + 1), "disks and boots of the first")
    equal(sorted(p.name for p in (INSTANCES / t.id).iterdir() if "rescue" in p.name), [], "files of the rescue")
    equal(guest.address(t.agent.server(t.id), "net1"), t.address, "address")


def StoppedServerIsStoppedAgainAfterItsRescue(t):
    t.agent.ctl("server", "stop", "--wait", "demo1")
    t.agent.ctl("server", "rescue", "--wait", "demo1")
    equal((t.agent.server(t.id)["status"], domains()[t.id]), ("RESCUE", "running"), "rescued")
    t.agent.ctl("server", "unrescue", "--wait", "demo1")
    equal((t.agent.server(t.id)["status"], domains()[t.id]), ("SHUTOFF", "shut off"), "unrescued")


def RescueImageThatIsNotThereIsRefused(t):
    status, answer = t.agent.action(t.id, {"rescue": {"rescue_image_ref": t.id}})
    check(status == 400 and "could not be found" in json.dumps(answer), f"{status} {answer}")
    t.restart(libvirt__rescue_image_id=t.snap)
    t.agent.ctl("server", "rescue", "--wait", "demo1")
    equal(t.looks(t.id)["vda"][0], 2, "boots of a rescue disk made of the snapshot")
    t.agent.ctl("server", "unrescue", "--wait", "demo1")
    t.restart()


# --- rebuild

def RebuiltServerHasANewDiskAndTheOldAddress(t):
    t.agent.ctl("server", "start", "--wait", "demo1")
    check(t.looks(t.id)["vda"][0] > 1, "the disk was booted before")
    before = t.agent.server(t.id)
    t.agent.ctl("server", "rebuild", "--name", "demo2", "--property", "k=v", "--password", "fresh", "--wait", "demo1")
    server = t.agent.server(t.id)
    equal((server["status"], server["name"], server["metadata"], server["image"]["id"]), ("ACTIVE", "demo2", {"k": "v"}, t.image), "server")
    equal(server["addresses"], before["addresses"], "addresses")
    equal(t.looks(t.id)["vda"][0], 1, "boots of the new disk")
    meta = json.loads(iso.files(INSTANCES / t.id / "disk.config")["openstack/latest/meta_data.json"])
    equal((meta["name"], meta["meta"], meta["admin_pass"]), ("demo2", {"k": "v"}, "fresh"), "metadata")
    check("fresh" not in t.agent.log.read_text(), "the password is in the log")


def RebuildFromAnotherImageWhileStoppedStaysStopped(t):
    t.agent.ctl("server", "stop", "--wait", "demo2")
    shown = t.json("server", "rebuild", "--image", "snap1", "--wait", "demo2")
    equal((shown["status"], domains()[t.id]), ("SHUTOFF", "shut off"), "state")
    t.agent.ctl("server", "start", "--wait", "demo2")
    equal(t.looks(t.id)["vda"][0], 2, "boots of a disk made of the snapshot")


def RebuildThatDoesNotFitIsRefused(t):
    large = t.agent.image(guest.QCOW2, "qcow2", "large", min_disk=5)
    refused = t.agent.ctl("server", "rebuild", "--image", "large", "demo2", check=False)
    check(refused.returncode == 1 and "Flavor's disk is smaller than the minimum size" in refused.stderr, f"{refused}")
    server = t.agent.server(t.id)
    equal((server["status"], server["OS-EXT-STS:task_state"], server["image"]["id"]), ("ACTIVE", None, t.snap), "server")
    t.agent.ok("DELETE", f"{IMAGES}/{large}")


def RebuildThatFailsIsMendedByAnother(t):
    t.restart("rebuild_instance/define:ran=error")
    failed = t.agent.ctl("server", "rebuild", "--image", "demo", "--wait", "demo2", check=False)
    check(failed.returncode == 1 and t.agent.server(t.id)["status"] == "ERROR", f"{failed}")
    t.restart()
    t.agent.ctl("server", "rebuild", "--image", "demo", "--wait", "demo2")
    equal(t.looks(t.id)["vda"][0], 1, "boots")


def EphemeralDisksStayWhereTheRebuildSaysSo(t):
    """The first boot marks the ephemeral disk where LOOK reads a disk's boots."""
    (t.scratch / "mark").write_text("#!/bin/sh\nprintf '%-512s' 77 | dd of=/dev/vdb bs=512 seek=2040 count=1 conv=notrunc,fsync 2>/dev/null\n")
    t.agent.ctl("flavor", "create", "--ram", "128", "--vcpus", "1", "--disk", "1", "--ephemeral", "1", "t1e")
    uuid = t.create("marked", flavor="t1e", data="mark")
    guest.wait_console(t.agent, uuid, "demo: user-data: done")
    for option, wanted in (("--preserve-ephemeral", 77), ("--no-preserve-ephemeral", 0)):
        t.agent.ctl("server", "rebuild", option, "--user-data", str(t.scratch / "look"), "--wait", "marked")
        seen = t.looks(uuid)
        equal((seen["vda"][0], seen["vdb"][0]), (1, wanted), f"boots of the root disk, mark on the ephemeral one after {option}")
    t.agent.ctl("server", "rescue", "--wait", "marked")
    equal([d[:2] for d in disks(uuid)], [("vda", "disk.rescue"), ("vdb", "disk"), ("hda", "disk.config.rescue")], "disks: the ephemeral one is left out")
    t.agent.ctl("server", "unrescue", "--wait", "marked")
    equal([d[:2] for d in disks(uuid)], [("vda", "disk"), ("vdb", "disk.eph0"), ("hda", "disk.config")], "disks")
    t.agent.ctl("server", "delete", "--wait", "marked")


# --- shelve

def ShelvedServerLeavesTheHostAndComesBack(t):
    used = lambda: t.agent.ok("GET", "/compute/v2.1/os-hypervisors/statistics")["hypervisor_statistics"]["vcpus_used"]
    before = used()
    t.agent.ctl("server", "shelve", "--wait", "demo2")
    server = t.agent.server(t.id)
    equal((server["status"], domains().get(t.id), (INSTANCES / t.id).exists(), before - used()), ("SHELVED_OFFLOADED", None, False, 1), "what is left of it")
    image = next(i for i in t.agent.ok("GET", IMAGES)["images"] if i["name"] == "demo2-shelved")
    equal((image["status"], image["instance_uuid"]), ("active", t.id), "image")
    t.restart()
    t.agent.ctl("server", "unshelve", "--wait", "demo2")
    server = t.agent.server(t.id)
    equal((server["status"], guest.address(server, "net1"), used()), ("ACTIVE", t.address, before), "back")
    equal(t.looks(t.id)["vda"][0], 2, "boots: it has the disk it had")
    t.settled(t.id, t.snap)


def ShelvedServerThatStaysCanBeOffloadedLater(t):
    t.restart(shelved_offload_time=-1)
    t.agent.ctl("server", "shelve", "--wait", "demo2")
    equal((t.agent.server(t.id)["status"], domains()[t.id]), ("SHELVED", "shut off"), "shelved")
    t.agent.ctl("server", "unshelve", "--wait", "demo2")
    equal(t.looks(t.id)["vda"][0], 3, "boots")
    t.settled(t.id, t.snap)
    t.agent.ctl("server", "shelve", "--offload", "--wait", "demo2")
    equal((t.agent.server(t.id)["status"], domains().get(t.id)), ("SHELVED_OFFLOADED", None), "offloaded")
    t.agent.ctl("server", "delete", "--wait", "demo2")
    t.settled(None, t.snap)
    equal(t.agent.leftovers(t.id), [], "left over")
    t.restart()


# --- hostile content

def DiskThatPretendsToBeQcow2IsTakenForWhatItIs(t):
    """From inside, the guest writes a qcow2 header with a backing file of the host to the start of its raw disk."""
    secret = INSTANCES / "secret"
    secret.write_text(SECRET * 4000)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(secret), str(t.scratch / "trap"), "1G"], check=True)
    trap = (t.scratch / "trap").read_bytes()[:4096]
    octal = "".join(f"\\{byte:03o}" for byte in trap.rstrip(b"\0"))
    (t.scratch / "attack").write_text(f"#!/bin/sh\nprintf '{octal}' | dd of=/dev/vda conv=notrunc,fsync 2>/dev/null\necho written\n")
    t.restart(libvirt__images_type="raw")
    uuid = t.create("hostile", data="attack")
    guest.wait_console(t.agent, uuid, "demo: user-data: done")
    disk = INSTANCES / uuid / "disk"
    wait_for("the header on the disk", lambda: disk.read_bytes()[:4] == b"QFI\xfb")
    equal(disks(uuid)[0], ("vda", "disk", "raw", "disk"), "the definition")
    # An image that later readers would take for qcow2 is refused as raw.
    for _ in ("running", "stopped"):
        failed = t.agent.ctl("server", "image", "create", "--wait", "hostile", check=False)
        check(failed.returncode == 1, f"{failed}")
        says(json.dumps(t.agent.actions(uuid)[0]), "UNSAFE")
        t.settled(uuid, t.snap)
        t.agent.ctl("server", "stop", "--wait", "hostile", check=False)
    # In a qcow2 of ours the header is data, whether the guest runs or not.
    t.restart(libvirt__images_type="raw", libvirt__snapshot_image_format="qcow2")
    for state in ("stopped", "rescued"):
        if state == "rescued":
            t.agent.ctl("server", "rescue", "--image", "demo", "--wait", "hostile")
            equal([d[:3] for d in disks(uuid)[:2]], [("vda", "disk.rescue", "raw"), ("vdb", "disk", "raw")], "disks of the rescue")
            wait_for("the rescue to boot", lambda: "demo: ready" in guest.console(t.agent, uuid), guest.BOOT_SECONDS)
            t.agent.ctl("server", "unrescue", "--wait", "hostile")
            equal(disk.read_bytes()[:4], b"QFI\xfb", "the disk's first bytes")
            continue
        made = t.json("server", "image", "create", "--name", "harmless", "--wait", "hostile")
        check_stored(t, made["id"], "qcow2")
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(stored(made["id"])), str(t.scratch / "out")], check=True)
        out = (t.scratch / "out").read_bytes()
        equal(out[:len(trap)], trap, "what the guest wrote")
        check(SECRET.encode() not in out, "the host's file is in the image")
        t.agent.ctl("image", "delete", "harmless")
    t.agent.ctl("server", "delete", "--wait", "hostile")
    t.restart()


CASES = [SnapshotOfARunningServerLeavesItRunning, ServerOfASnapshotHasWhatTheFirstOneWrote, SnapshotOfAPausedGuestLeavesItPaused,
         SnapshotThatFailsLeavesNothing, SnapshotWhoseImageIsDeletedEndsWithoutOne, DeleteDuringASnapshotLeavesNeitherServerNorImage,
         QuiesceThatTheImageRequiresIsNotLeftOut, SnapshotOfAStoppedServerIsConverted, SnapshotImageFormatRawMakesRawImages,
         SnapshotIsRefusedInAStateThatHasNoDiskAtRest, BackupsBeyondTheRotationGo, RescuedGuestHasTheRescueDiskFirstAndItsOwnSecond,
         RescueOutlivesTheAgent, UnrescuedGuestRunsOnItsOwnDisk, StoppedServerIsStoppedAgainAfterItsRescue, RescueImageThatIsNotThereIsRefused,
         RebuiltServerHasANewDiskAndTheOldAddress, RebuildFromAnotherImageWhileStoppedStaysStopped, RebuildThatDoesNotFitIsRefused,
         RebuildThatFailsIsMendedByAnother, EphemeralDisksStayWhereTheRebuildSaysSo, ShelvedServerLeavesTheHostAndComesBack, ShelvedServerThatStaysCanBeOffloadedLater,
         DiskThatPretendsToBeQcow2IsTakenForWhatItIs]

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        lab = Lab(scratch)
        try:
            tap.run(CASES, lab)
        finally:
            lab.agent.kill()
            if domains():
                print("# " + "\n# ".join(lab.agent.new_log().splitlines()[-40:]))
