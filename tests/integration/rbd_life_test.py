"""The verbs that change or copy disks, where the disks lie in Ceph RBD: image, resize, rescue, rebuild, shelve, connected volumes."""
import json
import time
import uuid as uuids
from pathlib import Path

from harness import ceph, guest
from harness.agent import DATA, INSTANCES, virsh, wait_for
from harness.check import check, equal, say, says
from harness.rbd_lab import GIB, SECRET, run

IMAGES = "/image/v2/images"


def images(t):
    return {i["name"]: i for i in t.agent.ok("GET", IMAGES)["images"]}


def of_instance(t):
    return [name for name in t.cluster.ls(ceph.VMS) if name.startswith(t.id)]


def in_pool(t):
    """What the disk in the pool is: (size, id, names of its snapshots, whether it hangs on an image)."""
    with t.cluster.image(ceph.VMS, t.disk) as disk:
        try:
            parent = disk.parent_info()[1]
        except ceph.rbd.ImageNotFound:
            parent = None
        return disk.size(), disk.id(), sorted(s["name"] for s in disk.list_snaps()), parent


def boots(t, number):
    guest.wait_console(t.agent, t.id, rf"demo: boots={number}\b")


def ServerRunsFromAClone(t):
    t.cluster.start()
    t.agent.start()
    t.agent.ctl("image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", str(guest.QCOW2), "demo")
    t.image = images(t)["demo"]["id"]
    t.small = t.agent.flavor("small", ram=128)
    t.agent.flavor("large", ram=128, disk=2)
    t.id = t.agent.create("ceph1", t.image, t.small, config_drive=True)
    t.agent.wait_status(t.id, "ACTIVE")
    boots(t, 1)


def ImageOfARunningServerIsMadeInThePool(t):
    guest.wait_ready(t.agent, t.id)
    pid, began = guest.qemu_pid(t.id), time.monotonic()
    t.agent.ctl("server", "image", "create", "--name", "copy", "--wait", "ceph1")
    say(f"an image of a running server of 1 GiB took {time.monotonic() - began:.2f} s")
    copy = images(t)["copy"]
    equal((copy["status"], copy["disk_format"], copy["direct_url"]),
          ("active", "raw", f"rbd://{t.cluster.fsid}/{ceph.IMAGES}/{copy['id']}/snap"), "the image")
    equal(guest.qemu_pid(t.id), pid, "QEMU's pid")
    equal((in_pool(t)[2], list((DATA / "images").iterdir())), ([], []), "snapshots left on the disk, and files of images")
    clone = t.agent.create("copied", copy["id"], t.small)
    t.agent.wait_status(clone, "ACTIVE")
    # The copy carries on counting where the disk was.
    guest.wait_console(t.agent, clone, r"demo: boots=2\b")
    t.agent.ctl("server", "delete", "--wait", "copied")
    t.agent.ctl("image", "delete", "copy")


def KilledImageOrderIsFinishedOrLeavesNothing(t):
    for point in ("copy_disk:ran", "copy_disk:undone", "upload_image:before"):
        fault = "snapshot_instance/copy_disk:ran=error,snapshot_instance/copy_disk:undone=kill" if point == "copy_disk:undone" \
            else f"snapshot_instance/{point}=kill"
        t.agent.stop()
        t.agent.start(fault=fault)
        t.agent.call("POST", f"/compute/v2.1/servers/{t.id}/action", {"createImage": {"name": point}})
        t.agent.wait_death()
        t.agent.start()
        t.agent.wait_idle()
        made = images(t).get(point)
        kept = [made["id"]] if made else []
        equal(sorted(t.cluster.ls(ceph.IMAGES)), sorted([t.image, *kept]), f"images in the pool after {point}")
        equal((in_pool(t)[2], made and made["status"]), ([], made and "active"), f"snapshots and the image after {point}")
        if made:
            t.agent.ctl("image", "delete", made["id"])


def ResizeGrowsTheDiskAndRevertGoesBackToTheSnapshot(t):
    t.agent.ctl("server", "resize", "--flavor", "large", "--wait", "ceph1")
    t.agent.wait_status(t.id, "VERIFY_RESIZE")
    equal((in_pool(t)[0], in_pool(t)[2]), (2 * GIB, ["nova-resize"]), "size and snapshots until the resize is confirmed")
    boots(t, 2)
    t.agent.ctl("server", "resize", "revert", "ceph1")
    t.agent.wait_status(t.id, "ACTIVE")
    equal((in_pool(t)[0], in_pool(t)[2]), (GIB, []), "size and snapshots after the revert")
    boots(t, 2)  # what was written since the resize went with it
    t.agent.ctl("server", "resize", "--flavor", "large", "--wait", "ceph1")
    t.agent.wait_status(t.id, "VERIFY_RESIZE")
    t.agent.ctl("server", "resize", "confirm", "ceph1")
    t.agent.wait_status(t.id, "ACTIVE")
    equal((in_pool(t)[0], in_pool(t)[2]), (2 * GIB, []), "size and snapshots after the confirmation")
    boots(t, 3)


def RescuedServerBootsFromACloneBesideItsDisk(t):
    t.agent.ctl("server", "rescue", "ceph1")
    t.agent.wait_status(t.id, "RESCUE")
    check(f"{t.id}_disk.rescue" in of_instance(t), f"disks in the pool: {of_instance(t)}")
    boots(t, 1)
    t.agent.ctl("server", "unrescue", "ceph1")
    t.agent.wait_status(t.id, "ACTIVE")
    equal(of_instance(t), [t.disk, f"{t.disk}.config"], "disks in the pool after the unrescue")
    boots(t, 4)


def RebuiltServerHasANewClone(t):
    before = in_pool(t)[1]
    t.agent.ctl("server", "rebuild", "--image", "demo", "--wait", "ceph1")
    t.agent.wait_status(t.id, "ACTIVE")
    size, now, snapshots, parent = in_pool(t)
    check(now != before, "the disk is the old one")
    equal((size, snapshots, parent), (2 * GIB, [], t.image), "size, snapshots and parent")
    boots(t, 1)


def ShelvedServerLeavesThePoolAndComesBackWithoutItsImage(t):
    t.agent.ctl("server", "shelve", "ceph1")
    t.agent.wait_status(t.id, "SHELVED_OFFLOADED")
    equal(of_instance(t), [], "disks in the pool")
    check("ceph1-shelved" in images(t), f"images: {list(images(t))}")
    t.agent.ctl("server", "unshelve", "ceph1")
    t.agent.wait_status(t.id, "ACTIVE")
    equal((in_pool(t)[3], list(images(t)), t.cluster.ls(ceph.IMAGES)), (None, ["demo"], [t.image]), "parent of the disk, and images")
    boots(t, 2)


def ConnectedRbdVolumeIsSeenByTheGuest(t):
    with t.cluster.admin.open_ioctx(ceph.VMS) as io:
        ceph.rbd.RBD().create(io, "volume-of-cinder", 64 << 20)
        with ceph.rbd.Image(io, "volume-of-cinder") as volume:
            volume.write(b"written by cinder", 0)
    info = {"driver_volume_type": "rbd", "data": {"name": f"{ceph.VMS}/volume-of-cinder", "hosts": [ceph.ADDRESS], "ports": ["6789"], "auth_enabled": True,
                                                  "auth_username": ceph.USER, "secret_type": "ceph", "secret_uuid": SECRET}}
    volume = t.agent.ok("POST", "/agent/v1/volumes/connected", {"volume": {"name": "from-cinder", "size": 1, "connection_info": info}})["volume"]["id"]
    t.agent.ctl("server", "add", "volume", "ceph1", volume)
    wait_for("the volume to be attached", lambda: t.agent.ok("GET", f"/volume/v3/volumes/{volume}")["volume"]["status"] == "in-use", 60)
    says(virsh("dumpxml", t.id).stdout, f"name='{ceph.VMS}/volume-of-cinder'", f"<serial>{volume}</serial>")
    says(virsh("qemu-monitor-command", "--hmp", t.id, "info block").stdout, "volume-of-cinder")
    t.agent.ctl("server", "remove", "volume", "ceph1", volume)
    wait_for("the volume to be free", lambda: t.agent.ok("GET", f"/volume/v3/volumes/{volume}")["volume"]["status"] == "available", 60)
    t.agent.ok("DELETE", f"/volume/v3/volumes/{volume}")
    with t.cluster.image(ceph.VMS, "volume-of-cinder") as left:
        equal(left.read(0, 17), b"written by cinder", "another service's volume after its record was deleted")
    with t.cluster.admin.open_ioctx(ceph.VMS) as io:
        ceph.rbd.RBD().remove(io, "volume-of-cinder")


def UnconfirmedResizeIsDeletedWhole(t):
    t.agent.flavor("larger", ram=128, disk=3)
    t.agent.ctl("server", "resize", "--flavor", "larger", "--wait", "ceph1")
    t.agent.wait_status(t.id, "VERIFY_RESIZE")
    t.agent.ctl("server", "delete", "--wait", "ceph1")
    equal((t.cluster.ls(ceph.VMS), t.cluster.trash(ceph.VMS), t.cluster.objects(ceph.VMS)), ([], [], []), "in the pool of disks")
    equal(t.agent.leftovers(t.id), [], "on the host")
    equal(t.agent.stop(), 0, "exit status")


CASES = [ServerRunsFromAClone, ImageOfARunningServerIsMadeInThePool, KilledImageOrderIsFinishedOrLeavesNothing,
         ResizeGrowsTheDiskAndRevertGoesBackToTheSnapshot, RescuedServerBootsFromACloneBesideItsDisk, RebuiltServerHasANewClone,
         ShelvedServerLeavesThePoolAndComesBackWithoutItsImage, ConnectedRbdVolumeIsSeenByTheGuest, UnconfirmedResizeIsDeletedWhole]

if __name__ == "__main__":
    run(CASES)
