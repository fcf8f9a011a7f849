"""A disk that is full (ENOSPC) or broken (EIO) at the 1st, 2nd, 3rd ... write, sync, resize or rename of the agent's, until an order gets by
without meeting it: each time the order is carried out or refused with the reason, and nothing half-made is left.

The writes of the agent's own process fail, through a library in front of libc (failing_io.cc); those of qemu-img and QEMU are theirs.
"""
import dataclasses
import errno
import mmap
import os
import struct
import sys
import tempfile
import typing
from pathlib import Path

from harness import tap
from harness.agent import DATA, INSTANCES, Failed, wait_for
from harness.check import check, equal, say, says
from tiny_guest import POLITE
from world import KEPT, VOLUMES, World

MOST = 200  # writes of one order; more means that it never ends
FIELDS = struct.Struct("5i")  # armed, seen, fails_at, error, failed
WORDS = {errno.ENOSPC: ("no space left on the file system", "No space left on device"), errno.EIO: ("Input/output error",)}


class Disk:
    """The control file that failing_io.cc maps."""

    def __init__(self, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        self.path = path
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def arm(self, fails_at, error):
        self.map[:FIELDS.size] = FIELDS.pack(1, 0, fails_at, error, 0)

    def disarm(self):
        """Whether a write failed since arm()."""
        failed = FIELDS.unpack(self.map[:FIELDS.size])[4]
        self.map[:FIELDS.size] = FIELDS.pack(0, 0, 0, 0, 0)
        return bool(failed)

    def wrapper(self):
        return ["env", f"LD_PRELOAD={os.environ['FAILING_IO']}", f"FAILING_IO_CONTROL={self.path}",
                f"FAILING_IO_UNDER={INSTANCES}:{DATA}/images:{VOLUMES}"]


@dataclasses.dataclass
class Order:
    give: typing.Callable         # (world, uuid or None) -> uuid
    ends: str                     # status once it is carried out
    refused: tuple                # statuses once it was undone
    needs: typing.Callable = None
    image: bool = False           # it makes an image
    large: bool = False           # it ends with the larger flavor


def act(body):
    """An order that is an action; `body` may need the world to be told."""
    def give(world, uuid):
        status, answer = world.agent.action(uuid, body(world) if callable(body) else body)
        equal(status, 202, f"status of the action ({answer})")
        return uuid
    return give


def build_with_new_base(world, _):
    """From an image whose base is not in _base yet; the image's own upload is not the order."""
    image = world.agent.image(world.scratch / POLITE, "raw", "fresh")
    world.fresh = image
    world.made += 1
    world.disk.arm(*world.arming)
    return world.agent.create(f"server-{world.made}", image, world.flavor, [world.network], config_drive=True)


ORDERS = {
    "build": Order(build_with_new_base, "ACTIVE", ("ERROR",)),
    "resize": Order(act(lambda world: {"resize": {"flavorRef": world.larger}}), "VERIFY_RESIZE", ("ACTIVE",), lambda world: world.active(POLITE), large=True),
    "rebuild": Order(act(lambda world: {"rebuild": {"imageRef": world.images[POLITE]}}), "ACTIVE", ("ACTIVE", KEPT), lambda world: world.active(POLITE)),
    "rescue": Order(act({"rescue": {}}), "RESCUE", ("ACTIVE",), lambda world: world.active(POLITE)),
    "snapshot": Order(act({"createImage": {"name": "snap"}}), "SHUTOFF", ("SHUTOFF",), lambda world: world.shut_off(POLITE), image=True),
    "shelve": Order(act({"shelve": None}), "SHELVED", ("ACTIVE",), lambda world: world.active(POLITE)),
}


def ended(world, uuid, before):
    """The server, and its newest action, once the order that is not among `before` has ended."""
    def look():
        actions = world.agent.actions(uuid)
        server = world.agent.server(uuid)
        new = [a for a in actions if a["request_id"] not in before]
        return new and server["OS-EXT-STS:task_state"] is None and server["status"] != "BUILD"
    wait_for(f"the order on {uuid} to end", look, 90)
    world.agent.wait_idle()
    return world.agent.server(uuid), next(a for a in world.agent.actions(uuid) if a["request_id"] not in before)


def check_refusal(action, error, number):
    said = str(action)
    check(any(words in said for words in WORDS[error]), f"write {number}: the action does not say why it failed: {said[:2000]}")


def one_write(world, order, number, error):
    """Whether the failing write was met."""
    uuid = order.needs(world) if order.needs else None
    world.agent.wait_idle()
    before = {a["request_id"] for a in world.agent.actions(uuid)} if uuid else set()
    world.arming = (number, error)
    if order.needs:
        world.disk.arm(number, error)
    uuid = order.give(world, uuid)
    server, action = ended(world, uuid, before)
    met = world.disk.disarm()
    carried_out = action["message"] is None
    if carried_out:
        equal(server["status"], order.ends, f"status after write {number}")
        status = order.ends
    else:
        check_refusal(action, error, number)
        status = next((s for s in order.refused if s.split(",")[0] == server["status"]), None)
        check(met and status, f"write {number}: the server is {server['status']}, the write was met: {met}; {action}")
    if order.large and carried_out:
        world.large.add(uuid)
    world.standing[uuid] = (POLITE, status)
    equal(len(world.snapshots()), int(order.image and carried_out), f"images of servers after write {number}")
    world.drop_snapshots()
    world.check_at_rest({u: s for u, (_, s) in world.standing.items()})
    if (server["status"], status) != ("SHUTOFF", "SHUTOFF") and status != "ACTIVE" or order.needs is None:
        world.delete(uuid)
    return met


def every_write(world, name, error):
    order = ORDERS[name]
    for number in range(1, MOST):
        met = one_write(world, order, number, error)
        if order.give is build_with_new_base:
            world.agent.ok("DELETE", f"/image/v2/images/{world.fresh}")
        if not met:
            say(f"{number - 1} writes, each failed once")
            return check(number > 1, "no write was seen")
    raise Failed(f"more than {MOST} writes")


def upload(world, error):
    for number in range(1, MOST):
        image = world.agent.ok("POST", "/image/v2/images", {"name": "up", "disk_format": "raw", "container_format": "bare"})["id"]
        world.disk.arm(number, error)
        status, answer = world.agent.upload(image, (world.scratch / POLITE).read_bytes())
        met = world.disk.disarm()
        found = world.agent.ok("GET", f"/image/v2/images/{image}")["status"]
        files = [p.name for p in (DATA / "images").iterdir() if p.name.startswith(image)]
        if status != 204:
            check(any(words in str(answer) for words in WORDS[error]), f"write {number}: {status} {answer}")
            equal((met, found, files), (True, "queued", []), f"failed write met, status and files after write {number}")
        else:
            equal((found, files), ("active", [image]), f"status and files after write {number}")
        world.agent.ok("DELETE", f"/image/v2/images/{image}")
        if not met:
            say(f"{number - 1} writes, each failed once")
            return check(number > 1, "no write was seen")
    raise Failed(f"more than {MOST} writes")


def volume(world, error):
    for number in range(1, MOST):
        world.disk.arm(number, error)
        made = world.agent.ok("POST", "/volume/v3/volumes", {"volume": {"size": 1, "name": "volume"}})["volume"]["id"]
        path = f"/volume/v3/volumes/{made}"
        status = wait_for("the volume to be made or refused", lambda: world.agent.ok("GET", path)["volume"]["status"].replace("creating", ""), 60)
        met = world.disk.disarm()
        check(status == "available" or met and status == "error", f"write {number}: the volume is {status}, the write was met: {met}")
        # Where the last sync failed, the file is whole, and goes with the volume.
        check(all(p.name == f"volume-{made}" for p in VOLUMES.iterdir()), f"files after write {number}: {list(VOLUMES.iterdir())}")
        world.remove_volumes()
        if not met:
            say(f"{number - 1} writes, each failed once")
            return check(number > 1, "no write was seen")
    raise Failed(f"more than {MOST} writes")


def cases():
    for error in (errno.ENOSPC, errno.EIO):
        what = "full" if error == errno.ENOSPC else "broken"
        yield f"image upload to a {what} disk", lambda world, e=error: upload(world, e)
        yield f"volume on a {what} disk", lambda world, e=error: volume(world, e)
        # What an order does about a failed write does not look at the error; of the longer ones, one suffices.
        for name in ORDERS if error == errno.ENOSPC else ("build", "snapshot"):
            yield f"{name} on a {what} disk", lambda world, n=name, e=error: guarded(world, n, e)


def guarded(world, name, error):
    try:
        every_write(world, name, error)
    except BaseException:
        world.disk.disarm()
        print("".join(f"# {line}\n" for line in world.agent.new_log().splitlines()[-60:]), end="")
        world.wipe()
        world.agent.start(wrapper=world.disk.wrapper())
        raise


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        lab = World(scratch)
        lab.disk = Disk(Path(scratch) / "failing-io")
        lab.agent.stop()
        lab.agent.start(wrapper=lab.disk.wrapper())
        wanted = sys.argv[1:]
        tap.run([(n, c) for n, c in cases() if not wanted or any(w in n for w in wanted)], lab)
