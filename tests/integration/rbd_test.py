"""Disks and images in Ceph RBD, on a cluster of the test's own: clones, the config drive, deletion, no second writer, fencing, and a
cluster that goes away."""
import hashlib
import json
import os
import re
import signal
import subprocess
import time
import uuid as uuids
from pathlib import Path

from harness import ceph, guest
from harness.agent import DATA, INSTANCES, Agent, Failed, virsh, wait_for
from harness.check import check, equal, say, says
from harness.rbd_lab import GIB, SECRET, Rbd, run

OTHERS_IMAGE = str(uuids.uuid4())


def helpers(agent):
    """Pids of the agent's children that are compute-agent-rbd."""
    tasks = Path(f"/proc/{agent.process.pid}/task").glob("*/children")
    children = [int(pid) for task in tasks for pid in task.read_text().split()]
    return [pid for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == "compute-agent-r"]


class Writer:
    """QEMU's own I/O on an image, from the other host."""

    def __init__(self, cluster, image):
        conf = f"rbd:{ceph.VMS}/{image}:id={ceph.USER}:conf={cluster.conf}"
        self.process = subprocess.Popen(ceph.on_other_host("qemu-io", "-f", "raw", conf), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, bufsize=1)

    def write(self, offset):
        """What qemu-io says of writing and flushing 4 KiB there."""
        self.process.stdin.write(f"write -f -P 0x5a {offset} 4096\n")
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise Failed(f"qemu-io ended: {self.process.wait(10)}")
            if re.search(r"wrote \d+/\d+|write failed", line):
                return line.strip()

    def end(self):
        self.process.kill()
        self.process.wait()


# --- images

def ClusterIsReadyWithinSeconds(t):
    took = t.cluster.start()
    say(f"mon, mgr and OSD were up in {took:.1f} s")
    check(took < 60, f"the cluster took {took} s")


def LibrbdIsLoadedOnlyWhereItIsConfigured(t):
    plain = Agent(t.scratch / "plain").start()
    says(Path(f"/proc/{plain.process.pid}/maps").read_text(), "libvirt.so")
    equal(helpers(plain), [], "helpers of an agent without Ceph")
    equal(plain.stop(), 0, "exit status")
    t.agent.start()
    equal(len(helpers(t.agent)), 1, "helpers of an agent with Ceph")
    says(Path(f"/proc/{helpers(t.agent)[0]}/maps").read_text(), "librbd.so")
    check("librbd" not in Path(f"/proc/{t.agent.process.pid}/maps").read_text(), "the agent itself has librbd loaded")


def HostsDiskIsThatOfThePool(t):
    stats = t.cluster.pool_stats(ceph.VMS)
    shown = t.agent.ok("GET", "/compute/v2.1/os-hypervisors/detail")["hypervisors"][0]
    whole = (stats["max_avail"] + stats["stored"]) // GIB
    check(abs(shown["local_gb"] - whole) <= 1 and 1 <= whole <= 8, f"the host has {shown['local_gb']} GiB, the pool {whole}")


def ImageLiesRawInThePoolWithAProtectedSnapshot(t):
    t.agent.ctl("image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", str(guest.QCOW2), "demo")
    image = next(i for i in t.agent.ok("GET", "/image/v2/images")["images"] if i["name"] == "demo")
    t.image = image["id"]
    equal(image["direct_url"], f"rbd://{t.cluster.fsid}/{ceph.IMAGES}/{t.image}/snap", "location")
    equal(image["os_hash_value"], hashlib.sha512(guest.QCOW2.read_bytes()).hexdigest(), "sha512 of what was uploaded")
    with t.cluster.image(ceph.IMAGES, t.image) as stored:
        check(stored.is_protected_snap("snap"), "the snapshot is not protected")
        check(stored.read(0, stored.size()) == guest.RAW.read_bytes(), "the image in the pool is not the disk inside the file")
    equal(list((DATA / "images").iterdir()), [], "files of images")


def UnfitUploadLeavesNothingInThePool(t):
    image = t.agent.ok("POST", "/image/v2/images", {"name": "bad", "disk_format": "qcow2", "container_format": "bare"})["id"]
    equal(t.agent.upload(image, b"no qcow2 " * 1000)[0], 400, "status of the upload")
    equal(t.agent.call("DELETE", f"/image/v2/images/{image}")[0], 204, "status of the delete")
    equal(t.cluster.ls(ceph.IMAGES), [t.image], "images in the pool")


# --- an instance

def InstanceBootsFromAClone(t):
    t.flavor = t.agent.flavor(ram=128)
    t.id = t.agent.create("ceph1", t.image, t.flavor, config_drive=True)
    t.agent.wait_status(t.id, "ACTIVE")
    with t.cluster.image(ceph.VMS, t.disk) as disk:
        equal((disk.size(), disk.parent_info()), (GIB, (ceph.IMAGES, t.image, "snap")), "size and parent")
    equal(t.cluster.ls(ceph.VMS), [t.disk, f"{t.disk}.config"], "images of the instance")
    equal(sorted(p.name for p in (INSTANCES / t.id).iterdir()), ["console.log", "disk.info", "instance.json"], "files of the instance")
    equal(list((INSTANCES / "_base").iterdir()), [], "files in the cache")
    guest.wait_console(t.agent, t.id, "demo: hostname=ceph1")  # it read that from its config drive
    guest.wait_ready(t.agent, t.id)


def DomainNamesMonitorUserAndSecret(t):
    xml = virsh("dumpxml", t.id).stdout
    says(xml, f"<source protocol='rbd' name='{ceph.VMS}/{t.disk}'", f"<host name='{ceph.ADDRESS}'", f"<auth username='{ceph.USER}'>",
         f"<secret type='ceph' uuid='{SECRET}'/>", f"name='{ceph.VMS}/{t.disk}.config'")
    check("type='file'" not in re.sub(r"<(console|serial|log)[^>]*>", "", xml.split("<devices>")[1].split("<serial")[0]), "a disk is a file")


def KeyIsInLibvirtsSecretAndNowhereElse(t):
    says(virsh("secret-dumpxml", SECRET).stdout, "private='yes'", "ephemeral='no'", f"client.{ceph.USER} secret")
    refused = virsh("secret-get-value", SECRET, check=False)
    check(refused.returncode != 0 and "private" in refused.stderr, f"the key can be read: {refused}")
    key = t.cluster.secret.encode()
    for path in [t.agent.log, *DATA.rglob("*"), *INSTANCES.rglob("*")]:
        check(not path.is_file() or key not in path.read_bytes(), f"{path} holds the key")


def RecordIsKeptBesideTheDisk(t):
    record = json.loads(t.tool("record", t.id)["result"])
    equal((record["uuid"], record["name"], record["image"]["id"]), (t.id, "ceph1", t.image), "the copy")


def StopStartAndRebootUseTheSameDisk(t):
    t.agent.ctl("server", "stop", "--wait", "ceph1")
    t.agent.ctl("server", "start", "--wait", "ceph1")
    equal(guest.boots(t.agent, t.id), 2, "boots of this disk")
    t.agent.ctl("server", "reboot", "--hard", "--wait", "ceph1")
    equal(guest.boots(t.agent, t.id), 3, "boots of this disk")


def StartWaitsForWhatAKilledGuestLeft(t):
    os.kill(guest.qemu_pid(t.id), signal.SIGKILL)
    t.agent.wait_status(t.id, "SHUTOFF")
    began = time.monotonic()
    t.agent.ctl("server", "start", "--wait", "ceph1")
    say(f"the start after a kill took {time.monotonic() - began:.1f} s: Ceph forgets a dead client after 30 s")
    guest.wait_console(t.agent, t.id, r"demo: boots=4")


def ImageWithClonesIsNotDeleted(t):
    refused = t.agent.ctl("image", "delete", "demo", check=False)
    check(refused.returncode == 1 and "1 disk in Ceph is cloned from it" in refused.stderr, f"{refused}")
    equal(t.agent.call("DELETE", f"/image/v2/images/{t.image}")[0], 409, "status")
    equal(t.agent.ok("GET", f"/image/v2/images/{t.image}")["status"], "active", "the image")
    with t.cluster.image(ceph.IMAGES, t.image) as stored:
        check(stored.is_protected_snap("snap"), "its snapshot lost its protection")


# --- no second writer

def SecondWriterIsRefusedWithTheHoldersAddress(t):
    guest.wait_ready(t.agent, t.id)
    answer = t.tool("check-unused", f"{ceph.VMS}/{t.disk}", other_host=True, check_ok=False)
    equal(answer.get("error", {}).get("code"), "CONFLICT", "another host's look at a running guest's disk")
    says(answer["error"]["text"], f"{t.disk} is in use by {ceph.ADDRESS}:0/")
    t.agent.ctl("server", "stop", "--wait", "ceph1")
    t.writer = Writer(t.cluster, t.disk)
    says(t.writer.write(GIB - 8192), "wrote 4096/4096")
    refused = t.agent.ctl("server", "start", "--wait", "ceph1", check=False)
    says(refused.stdout + refused.stderr, f"{t.disk} is in use by {ceph.OTHER}:0/", "with the exclusive lock")
    equal((t.agent.server(t.id)["status"], virsh("domstate", t.id).stdout.strip()), ("SHUTOFF", "shut off"), "state after the refusal")


def FenceOfTheWrongHostIsRefused(t):
    answer = t.tool("fence", f"{ceph.VMS}/{t.disk}", "10.99.0.77", check_ok=False)
    equal(answer.get("error", {}).get("code"), "CONFLICT", "fencing somebody who does not hold it")
    check(not any(ceph.OTHER + ":" in entry for entry in t.cluster.blocklist()), f"the holder was fenced: {t.cluster.blocklist()}")
    says(t.writer.write(GIB - 8192), "wrote 4096/4096")


def FencedClientWritesNoMore(t):
    took = t.tool("fence", f"{ceph.VMS}/{t.disk}", ceph.OTHER)["seconds"]
    check(any(ceph.OTHER + ":0/" in entry for entry in t.cluster.blocklist()), f"the blocklist: {t.cluster.blocklist()}")
    said = t.writer.write(GIB - 4096)
    says(said, "write failed")
    with t.cluster.image(ceph.VMS, t.disk) as disk:
        equal((disk.read(GIB - 8192, 4096), disk.read(GIB - 4096, 4096)), (b"\x5a" * 4096, b"\0" * 4096), "what was written before and after")
    say(f"fencing took {took:.2f} s; the client's next write: {said}")
    began = time.monotonic()
    t.agent.ctl("server", "start", "--wait", "ceph1")
    say(f"the next start took {time.monotonic() - began:.1f} s")
    guest.wait_console(t.agent, t.id, r"demo: boots=5")
    t.writer.end()


def LockOfAHostThatWasCutOffIsRespectedAndFenced(t):
    blank, address = t.scratch / "cut-off.raw", f"{ceph.VMS}/{uuids.uuid4()}_disk"
    blank.write_bytes(bytes(1 << 20))
    t.tool("create", blank, address, str(1 << 20), str(1 << 20))
    writer = Writer(t.cluster, address.split("/")[1])
    says(writer.write(0), "wrote 4096/4096")
    writer.end()
    with t.cluster.image(ceph.VMS, address.split("/")[1]) as disk:
        wait_for("Ceph to forget the watcher", lambda: not list(disk.watchers_list()), 60, 0.5)
    answer = t.tool("check-unused", address, check_ok=False)
    says(answer["error"]["text"], f"is in use by {ceph.OTHER}:0/", "with the exclusive lock")
    t.tool("fence", address, ceph.OTHER)
    t.tool("check-unused", address)
    t.tool("remove", address)


# --- the driver by itself

def CloneOfAHugeImageTakesNoTime(t):
    huge = t.scratch / "huge.raw"
    with open(huge, "wb") as file:
        for offset in (0, 50 * GIB, 100 * GIB - (1 << 20)):
            file.seek(offset)
            file.write(os.urandom(1 << 20))
    t.huge = t.tool("put-image", OTHERS_IMAGE, huge)
    say(f"a sparse image of 100 GiB with 3 MiB of data was stored in {t.huge['seconds']:.2f} s")
    t.clone = f"{ceph.VMS}/{uuids.uuid4()}_disk"
    took = t.tool("clone", t.huge["result"], t.clone, str(100 * GIB))["seconds"]
    say(f"it was cloned in {took:.3f} s")
    check(took < 1, f"the clone took {took} s")
    equal(t.tool("size", t.clone)["result"], 100 * GIB, "size of the clone")
    with t.cluster.image(ceph.VMS, t.clone.split("/")[1]) as disk, open(huge, "rb") as file:
        file.seek(50 * GIB)
        check(disk.read(50 * GIB, 1 << 20) == file.read(1 << 20), "the clone's content differs")
    equal(t.tool("clone", t.huge["result"], t.clone, str(100 * GIB))["result"], True, "a second run of the step")


def HalfADiskIsMadeAnew(t):
    name = f"{uuids.uuid4()}_disk"
    with t.cluster.admin.open_ioctx(ceph.VMS) as io:
        ceph.rbd.RBD().create(io, name, 1 << 20)  # what a kill in the middle of a clone leaves
    t.tool("clone", t.huge["result"], f"{ceph.VMS}/{name}", str(100 * GIB))
    equal(t.tool("size", f"{ceph.VMS}/{name}")["result"], 100 * GIB, "size")
    t.tool("remove", f"{ceph.VMS}/{name}")


def LocalBaseIsImportedSparse(t):
    before, address = t.cluster.objects(ceph.VMS), f"{ceph.VMS}/{uuids.uuid4()}_disk.eph0"
    t.tool("create", t.scratch / "huge.raw", address, str(100 * GIB), str(101 * GIB))
    equal(t.tool("size", address)["result"], 101 * GIB, "size")
    made = [o for o in t.cluster.objects(ceph.VMS) if o not in before and o.startswith("rbd_data")]
    equal(len(made), 3, "objects with data")
    with t.cluster.image(ceph.VMS, address.split("/")[1]) as disk, open(t.scratch / "huge.raw", "rb") as file:
        file.seek(100 * GIB - (1 << 20))
        check(disk.read(100 * GIB - (1 << 20), 1 << 20) == file.read(1 << 20), "the content differs")
    t.tool("remove", address)


def DiskGrowsAndNeverShrinks(t):
    t.tool("resize", t.clone, str(120 * GIB))
    equal(t.tool("size", t.clone)["result"], 120 * GIB, "size")
    equal(t.tool("resize", t.clone, str(110 * GIB), check_ok=False)["error"]["code"], "INVALID", "shrinking")
    t.tool("remove", t.clone)
    t.tool("remove-image", OTHERS_IMAGE)
    (t.scratch / "huge.raw").unlink()


def SnapshotOfARunningGuestIsAnImageOfItsOwn(t):
    copy = str(uuids.uuid4())
    answer = t.tool("snapshot", f"{ceph.VMS}/{t.disk}", copy)
    equal(answer["result"], {"location": f"rbd://{t.cluster.fsid}/{ceph.IMAGES}/{copy}/snap", "bytes": GIB}, "the image")
    say(f"the snapshot of a running guest took {answer['seconds']:.2f} s")
    with t.cluster.image(ceph.IMAGES, copy) as image:
        check(image.is_protected_snap("snap"), "its snapshot is not protected")
        check(not any(key == "compute-agent.instance" for key, _ in image.metadata_list()), "it carries the instance's record")
        try:
            raise Failed(f"it has a parent: {image.parent_info()}")
        except ceph.rbd.ImageNotFound:
            pass
    with t.cluster.image(ceph.VMS, t.disk) as disk:
        equal(list(disk.list_snaps()), [], "snapshots left on the disk")
    # It is good for a disk of its own.
    clone = f"{ceph.VMS}/{uuids.uuid4()}_disk"
    t.tool("clone", answer["result"]["location"], clone, str(2 * GIB))
    t.tool("remove", clone)
    t.tool("remove-image", copy)


def DiskThatIsHeldGoesToTheTrashAndThenAway(t):
    address = f"{ceph.VMS}/{uuids.uuid4()}_disk"
    blank = t.scratch / "blank.raw"
    blank.write_bytes(os.urandom(1 << 20))
    t.tool("create", blank, address, str(1 << 20), str(1 << 22))
    name = address.split("/")[1]
    with t.cluster.admin.open_ioctx(ceph.VMS) as io, ceph.rbd.Image(io, name):  # has it open, and no lock
        t.tool("remove", address)
        equal((name in t.cluster.ls(ceph.VMS), t.cluster.trash(ceph.VMS)), (False, [name]), "the disk, and the trash")
    t.tool("remove", address)
    equal(t.cluster.trash(ceph.VMS), [], "the trash once nobody holds it")


# --- kills

def KilledBuildIsFinishedAfterTheRestart(t):
    for point in ("create_disk:ran", "create_config_drive:ran"):
        t.agent.stop()
        t.agent.start(fault=f"build_and_run_instance/{point}=kill")
        killed = t.agent.create("killed", t.image, t.flavor)
        t.agent.wait_death()
        t.agent.start()
        t.agent.wait_status(killed, "ACTIVE", 150)
        t.agent.ctl("server", "delete", "--wait", "killed")
        equal(([n for n in t.cluster.ls(ceph.VMS) if n.startswith(killed)], t.agent.leftovers(killed)), ([], []), f"left over after {point}")


def FailedBuildLeavesNothing(t):
    t.agent.stop()
    t.agent.start(fault="build_and_run_instance/start:before=error")
    failed = t.agent.create("failed", t.image, t.flavor)
    t.agent.wait_status(failed, "ERROR")
    equal([n for n in t.cluster.ls(ceph.VMS) if n.startswith(failed)], [], "images of it")
    t.agent.ctl("server", "delete", "--wait", "failed")
    t.agent.stop()
    t.agent.start()


def HelperThatDiesIsStartedAgain(t):
    old = helpers(t.agent)[0]
    os.kill(old, signal.SIGKILL)
    server = t.agent.create("after", t.image, t.flavor)
    t.agent.wait_status(server, "ACTIVE", 90)
    check(helpers(t.agent) and helpers(t.agent) != [old], f"helpers now: {helpers(t.agent)}, before: {old}")
    t.agent.ctl("server", "delete", "--wait", "after")


# --- a cluster that goes away

def OrdersWaitWhileCephIsAway(t):
    t.cluster.pause()
    try:
        waiting = t.agent.create("waiting", t.image, t.flavor)
        wait_for("the log to say that Ceph is away", lambda: re.search(rf"create of {waiting} waits: .*Ceph", t.agent.new_log()), 120)
        began = time.monotonic()
        equal({s["name"] for s in t.agent.servers()}, {"ceph1", "waiting"}, "servers")
        check(time.monotonic() - began < 1, "the list of servers took more than a second")
        equal((t.agent.server(waiting)["status"], t.agent.server(t.id)["status"]), ("BUILD", "ACTIVE"), "states meanwhile")
    finally:
        t.cluster.resume()
    t.agent.wait_status(waiting, "ACTIVE", 180)
    t.agent.ctl("server", "delete", "--wait", "waiting")


def AgentStartsWithoutCephAndCatchesUp(t):
    t.agent.stop()
    t.cluster.pause()
    try:
        t.agent.start()
        wait_for("the log to say what is missing", lambda: "what the host has can't be read: the Ceph cluster" in t.agent.new_log(), 60)
        waiting = t.agent.create("early", t.image, t.flavor)
        equal((t.agent.server(waiting)["status"], t.agent.server(t.id)["status"]), ("BUILD", "ACTIVE"), "states meanwhile")
    finally:
        t.cluster.resume()
    t.agent.wait_status(waiting, "ACTIVE", 180)
    t.agent.ctl("server", "delete", "--wait", "early")


# --- the end

def DeleteLeavesNothing(t):
    t.agent.ctl("server", "delete", "--wait", "ceph1")
    equal((t.cluster.ls(ceph.VMS), t.cluster.trash(ceph.VMS), t.cluster.objects(ceph.VMS)), ([], [], []), "in the pool of disks")
    equal(t.agent.leftovers(t.id), [], "on the host")
    t.agent.ctl("image", "delete", "demo")
    equal((t.cluster.ls(ceph.IMAGES), t.cluster.objects(ceph.IMAGES)), ([], []), "in the pool of images")


def AgentEndsWithStatusZero(t):
    equal(t.agent.stop(), 0, "exit status")


CASES = [ClusterIsReadyWithinSeconds, LibrbdIsLoadedOnlyWhereItIsConfigured, HostsDiskIsThatOfThePool,
         ImageLiesRawInThePoolWithAProtectedSnapshot, UnfitUploadLeavesNothingInThePool, InstanceBootsFromAClone, DomainNamesMonitorUserAndSecret,
         KeyIsInLibvirtsSecretAndNowhereElse, RecordIsKeptBesideTheDisk, StopStartAndRebootUseTheSameDisk, StartWaitsForWhatAKilledGuestLeft,
         ImageWithClonesIsNotDeleted, SecondWriterIsRefusedWithTheHoldersAddress, FenceOfTheWrongHostIsRefused, FencedClientWritesNoMore,
         LockOfAHostThatWasCutOffIsRespectedAndFenced, CloneOfAHugeImageTakesNoTime, HalfADiskIsMadeAnew, LocalBaseIsImportedSparse, DiskGrowsAndNeverShrinks,
         SnapshotOfARunningGuestIsAnImageOfItsOwn, DiskThatIsHeldGoesToTheTrashAndThenAway, KilledBuildIsFinishedAfterTheRestart,
         FailedBuildLeavesNothing, HelperThatDiesIsStartedAgain, OrdersWaitWhileCephIsAway, AgentStartsWithoutCephAndCatchesUp, DeleteLeavesNothing, AgentEndsWithStatusZero]

if __name__ == "__main__":
    run(CASES)
