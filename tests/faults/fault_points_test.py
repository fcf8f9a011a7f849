"""The agent is killed with SIGKILL at every fault point there is, for every order that passes it, and started again.

Which points there are, the agent says itself (--list-fault-points), so a new step or verb is covered without a word here; only a new
verb needs to be told how it is ordered and how it ends (ORDERS), and without that its cases fail.
"""
import dataclasses
import http.client
import itertools
import sys
import tempfile
import typing

import host_state
from harness import tap
from harness.agent import Failed, virsh
from tiny_guest import DEAF, POLITE
from world import KEPT, SCSI, World, equal

KILLED = -9


@dataclasses.dataclass
class Order:
    name: str
    give: typing.Callable            # (world, uuid or None) -> uuid
    ends: str                        # status once the order is carried out
    needs: typing.Callable = None    # (world) -> uuid of a server in the state that the order needs
    starts: int = 0                  # QEMU processes it starts
    undone: str = None               # status once it failed and was undone
    undone_starts: int = None        # QEMU processes it starts then, when others than `starts`
    large: bool = False              # it ends with the larger flavor
    images: int = 0                  # images of servers that it leaves more than there were
    fails: str = None                # why it fails on these guests: its last step never ends
    once: bool = False               # what it leaves is no server as others need (another flavor, a new console log): it is deleted
    check: typing.Callable = None    # (world, uuid, undone): what else must hold at rest; leaves the world as it was before the order


def act(body):
    def give(world, uuid):
        status, answer = world.agent.action(uuid, body)
        equal(status, 202, f"status of {body} ({answer})")
        return uuid
    return give


def delete(world, uuid):
    equal(world.agent.call("DELETE", f"/compute/v2.1/servers/{uuid}")[0], 204, "status of DELETE")
    return uuid


def delete_softly(world, uuid):
    """As a message: with reclaim_instance_interval set, every other delete would be soft too."""
    status, answer = world.agent.send(world.agent.envelope("soft_delete_instance", {"instance": {"uuid": uuid}}))
    equal(status, 202, f"status of the message ({answer})")
    return uuid


def set_password(world, uuid):
    """As a message: the API refuses it for an image without an agent."""
    args = {"instance": {"uuid": uuid}, "new_pass": "sesame"}
    equal(world.agent.send(world.agent.envelope("set_admin_password", args))[0], 202, "status of the message")
    return uuid


def soft_deleted(world):
    uuid = delete_softly(world, world.active(DEAF))
    world.agent.wait_status(uuid, "SOFT_DELETED")
    return uuid


def resize(world, uuid):
    return act({"resize": {"flavorRef": world.larger}})(world, uuid)


def resized(world):
    uuid = resize(world, world.active(POLITE))
    world.agent.wait_status(uuid, "VERIFY_RESIZE")
    return uuid


def rescued(world):
    return world.order(world.active(POLITE), {"rescue": {}}, "RESCUE")


def shelved(world):
    return world.order(world.active(POLITE), {"shelve": None}, "SHELVED")


def offloaded(world):
    return world.order(shelved(world), {"shelveOffload": None}, "SHELVED_OFFLOADED")


def backed_up(world):
    """A server with one backup, made by another order than the one that is tested."""
    return world.order(world.active(DEAF), {"createImage": {"name": "old", "metadata": {"image_type": "backup", "backup_type": "daily"}}}, "ACTIVE")


def rebuild(world, uuid):
    return act({"rebuild": {"imageRef": world.images[POLITE]}})(world, uuid)


def attach_volume(world, uuid):
    volume = world.volumes()[0]["id"]
    path = f"/compute/v2.1/servers/{uuid}/os-volume_attachments"
    equal(world.agent.call("POST", path, {"volumeAttachment": {"volumeId": volume, "tag": "data"}})[0], 200, "status of the attachment")
    return uuid


def detach_volume(world, uuid):
    volume = world.volumes()[0]["id"]
    equal(world.agent.call("DELETE", f"/compute/v2.1/servers/{uuid}/os-volume_attachments/{volume}")[0], 202, "status of the detachment")
    return uuid


def extend_volume(world, uuid):
    path = f"/volume/v3/volumes/{world.volumes()[0]['id']}/action"
    equal(world.agent.call("POST", path, {"os-extend": {"new_size": 2}})[0], 202, "status of the extension")
    return uuid


def with_volume(server, attached):
    """The server that `server` gives, and a volume: its own, or a free one."""
    def needs(world):
        uuid = server(world)
        if attached:
            return world.attached(uuid)
        world.volume()
        return uuid
    return needs


def volume_is(attached, size=1):
    """The one volume is attached, or free; to record, definition and guest alike."""
    def check(world, uuid, undone):
        volume = world.volumes()[0]
        there = attached != undone
        equal((volume["status"], [a["server_id"] for a in volume["attachments"]]), ("in-use", [uuid]) if there else ("available", []), "the volume")
        equal(volume["size"], 1 if undone else size, "size of the volume")
        equal([a["id"] for a in world.agent.server(uuid)["os-extended-volumes:volumes_attached"]], [volume["id"]] if there else [], "the server's volumes")
        for more in ((), ("--inactive",)):
            equal(virsh("dumpxml", uuid, *more).stdout.count(volume["id"] + "</serial>"), int(there), f"disks of the volume in the domain's XML {more}")
        world.remove_volumes()
    return check


def extended(world, uuid, undone):
    volume = world.volumes()[0]
    equal((volume["status"], volume["size"], len(volume["attachments"])), ("in-use", 1 if undone else 2, 1), "the volume")
    world.remove_volumes()


def scsi_active(world):
    return world.active(SCSI)


def scsi_shut_off(world):
    return world.shut_off(SCSI)


ORDERS = {
    "build_and_run_instance": [Order("build", lambda world, _: world.order_build(), "ACTIVE", starts=1, undone="ERROR")],
    "terminate_instance": [Order("delete", delete, "DELETED", lambda world: world.active(POLITE))],
    "start_instance": [Order("start", act({"os-start": None}), "ACTIVE", lambda world: world.shut_off(POLITE), starts=1)],
    "stop_instance": [Order("stop", act({"os-stop": None}), "SHUTOFF", lambda world: world.active(POLITE)),
                      Order("stop of a deaf guest", act({"os-stop": None}), "SHUTOFF", lambda world: world.active(DEAF))],
    "reboot_instance": [Order("soft reboot", act({"reboot": {"type": "SOFT"}}), "ACTIVE", lambda world: world.active(POLITE), starts=1),
                        Order("hard reboot", act({"reboot": {"type": "HARD"}}), "ACTIVE", lambda world: world.active(DEAF), starts=1)],
    "attach_volume": [Order("attach volume", attach_volume, "ACTIVE", with_volume(scsi_active, False), undone="ACTIVE", check=volume_is(True)),
                      Order("attach volume to a server that is off", attach_volume, "SHUTOFF", with_volume(scsi_shut_off, False), check=volume_is(True))],
    "detach_volume": [Order("detach volume", detach_volume, "ACTIVE", with_volume(scsi_active, True), undone="ACTIVE", check=volume_is(False)),
                      Order("detach volume of a server that is off", detach_volume, "SHUTOFF", with_volume(scsi_shut_off, True), check=volume_is(False))],
    "extend_volume": [Order("extend volume", extend_volume, "ACTIVE", with_volume(scsi_active, True), undone="ACTIVE", check=extended)],
}
ORDERS.update({
    "pause_instance": [Order("pause", act({"pause": None}), "PAUSED", lambda world: world.active(DEAF), undone="ACTIVE")],
    "unpause_instance": [Order("unpause", act({"unpause": None}), "ACTIVE", lambda world: world.reach(DEAF, {"pause": None}, "PAUSED"))],
    "suspend_instance": [Order("suspend", act({"suspend": None}), "SUSPENDED", lambda world: world.active(DEAF), undone="ACTIVE",
                               undone_starts=1, once=True)],
    "resume_instance": [Order("resume", act({"resume": None}), "ACTIVE", lambda world: world.reach(DEAF, {"suspend": None}, "SUSPENDED"),
                              starts=1, once=True)],
    "soft_delete_instance": [Order("soft delete", delete_softly, "SOFT_DELETED", lambda world: world.active(DEAF))],
    "restore_instance": [Order("restore", act({"restore": None}), "ACTIVE", soft_deleted, starts=1)],
    # life_test kills the agent at the other points, where a guest has an agent.
    "set_admin_password": [Order("password", set_password, "ACTIVE", lambda world: world.active(DEAF), fails="no agent runs in these guests")],
    "trigger_crash_dump": [Order("crash dump", act({"trigger_crash_dump": None}), "ACTIVE", lambda world: world.active(DEAF))],
    "resize_instance": [Order("resize", resize, "VERIFY_RESIZE", lambda world: world.active(POLITE), starts=1, undone="ACTIVE",
                              undone_starts=2, large=True)],
    "confirm_resize": [Order("confirm of a resize", act({"confirmResize": None}), "ACTIVE", resized, large=True, once=True)],
    "revert_resize": [Order("revert of a resize", act({"revertResize": None}), "ACTIVE", resized, starts=1,
                            undone="ACTIVE", once=True)],
})
ORDERS.update({
    "rescue_instance": [Order("rescue", act({"rescue": {}}), "RESCUE", lambda world: world.active(POLITE), starts=1, undone="ACTIVE", undone_starts=2)],
    "unrescue_instance": [Order("unrescue", act({"unrescue": None}), "ACTIVE", rescued, starts=1, undone="ACTIVE")],
    "rebuild_instance": [Order("rebuild", rebuild, "ACTIVE", lambda world: world.active(POLITE), starts=1, undone=KEPT)],
    "snapshot_instance": [Order("live snapshot", act({"createImage": {"name": "snap"}}), "ACTIVE", lambda world: world.active(DEAF), images=1, undone="ACTIVE"),
                          Order("snapshot at rest", act({"createImage": {"name": "snap"}}), "SHUTOFF", lambda world: world.shut_off(POLITE), images=1)],
    # The older backup goes, also where the order fails after that.
    "backup_instance": [Order("backup", act({"createBackup": {"name": "new", "backup_type": "daily", "rotation": 1}}), "ACTIVE", backed_up, undone="ACTIVE")],
    "shelve_instance": [Order("shelve", act({"shelve": None}), "SHELVED", lambda world: world.active(POLITE), undone="ACTIVE", undone_starts=1)],
    "shelve_offload_instance": [Order("offload", act({"shelveOffload": None}), "SHELVED_OFFLOADED", shelved)],
    "unshelve_instance": [Order("unshelve", act({"unshelve": None}), "ACTIVE", offloaded, starts=1, undone="ACTIVE")],
})
UNDO = ("undo_before", "undone", "undo_recorded")


class Points:
    """What the agent lists, taken apart."""

    def __init__(self, listed):
        self.steps = {}   # method -> steps in order
        self.of = {}      # method -> points
        self.anywhere = []
        for point in listed:
            if "/" not in point:
                self.anywhere.append(point)
                continue
            method, step = point.split(":")[0].split("/")
            steps = self.steps.setdefault(method, [])
            if step not in steps:
                steps.append(step)
            self.of.setdefault(method, []).append(point)

    def cases(self):
        """One list of (point, method, order) for each order. Every order passes every point; undone is the first of each method."""
        for method, own in self.of.items():
            orders = ORDERS.get(method, [None])
            for order in orders:
                yield [(p, method, order) for p in self.anywhere + own if p.split(":")[1] not in UNDO or order is orders[0]]


class Case:
    """One order, one point."""

    def __init__(self, world, points, point, method, order):
        self.world = world
        self.point, self.method, self.order = point, method, order
        self.steps = points.steps[method]
        self.undoes = point.split(":")[1] in UNDO

    @property
    def agent(self):
        return self.world.agent

    @property
    def name(self):
        return f"{self.order.name if self.order else self.method}: {self.point}"

    def run(self):
        if self.order is None or (self.undoes and self.order.undone is None):
            raise Failed(f"ORDERS does not say how {self.method} is ordered and how it ends")
        if self.order.fails and self.point.split(":")[-1] in ("ran", "recorded") and self.point.split(":")[0].endswith("/" + self.steps[-1]):
            raise tap.Skip(f"{self.point} is never reached: {self.order.fails}")
        try:
            self.prepare()
            self.die()
            self.resume()
            self.leave()
        except BaseException:
            print("".join(f"# {line}\n" for line in self.agent.new_log().splitlines()[-40:]), end="")
            self.world.wipe()
            raise

    def prepare(self):
        """The agent with its fault, and the server that the order is for."""
        world, fault = self.world, f"{self.point}=kill"
        if self.undoes:
            fault += f",{self.method}/{self.steps[-1]}:ran=error"
        self.uuid = None
        if self.order.needs and "/" not in self.point:  # the preparation would meet this point
            self.agent.start()
            self.uuid = self.order.needs(world)
            equal(self.agent.stop(), 0, "exit status of the agent at SIGTERM")
        self.agent.start(fault)
        if self.order.needs and not self.uuid:
            self.uuid = self.order.needs(world)
        self.before = {s["id"] for s in self.agent.servers()}
        self.snapshots_before = len(world.snapshots())
        self.requests_before = {a["request_id"] for a in self.agent.actions(self.uuid)} if self.uuid else set()
        self.domain = self.agent.server(self.uuid)["OS-EXT-SRV-ATTR:instance_name"] if self.uuid else None
        self.starts_before = host_state.starts(self.domain) if self.uuid else 0

    def die(self):
        try:
            self.uuid = self.order.give(self.world, self.uuid)
        except (OSError, http.client.HTTPException):
            pass  # it died before it could answer; that the order is durable shows below
        equal(self.agent.wait_death(), KILLED, f"how the agent ended when {self.point} was to kill it")
        self.store_at_death = host_state.Store()
        if self.uuid is None:
            new = set(self.store_at_death.instances()) - self.before
            equal(len(new), 1, "number of new servers")
            self.uuid = new.pop()
        if self.domain is None:
            self.domain = f"instance-{self.store_at_death.instances()[self.uuid]['number']:08x}"
        self.starts_at_death, self.pid_at_death = host_state.starts(self.domain), host_state.pid_of(self.domain)

    def resume(self):
        """Started again without the fault, the agent carries the order out; once, and nothing else is there."""
        self.ends = self.order.undone if self.undoes else self.order.ends
        self.agent.start()
        self.agent.wait_status(self.uuid, self.ends.split(",")[0])
        if self.order.large and not self.undoes:
            self.world.large.add(self.uuid)
        self.expected = {u: status for u, (_, status) in self.world.standing.items() if u != self.uuid}
        if self.ends != "DELETED":
            self.expected[self.uuid] = self.ends
        self.world.check_at_rest(self.expected)
        self.check_guest()
        more = len(self.world.snapshots()) - self.snapshots_before
        equal(more, 0 if self.undoes else self.order.images, "images that were made of servers")
        self.world.drop_snapshots()
        equal(self.agent.stop(), 0, "exit status of the agent at SIGTERM")
        self.check_journal(self.world.check_store(self.expected))
        if self.order.check:
            self.agent.start()
            self.order.check(self.world, self.uuid, self.undoes)
            self.agent.wait_idle()
            equal(self.agent.stop(), 0, "exit status of the agent at SIGTERM")

    def check_guest(self):
        starts = self.order.starts
        if self.undoes and self.order.undone_starts is not None:
            starts = self.order.undone_starts
        equal(host_state.starts(self.domain) - self.starts_before, starts, "QEMU processes that were started")
        if self.ends in ("ACTIVE", "RESCUE") and self.pid_at_death and self.starts_at_death - self.starts_before == starts:
            equal(host_state.pid_of(self.domain), self.pid_at_death, "process of the guest that ran before")

    def check_journal(self, store):
        actions = [a for a in store.actions if a["instance_uuid"] == self.uuid and a["request_id"] not in self.requests_before]
        failed = self.undoes or bool(self.order.fails)
        equal([a["message"] for a in actions], ["Error" if failed else ""], "outcomes of this order's actions")
        request = actions[0]["request_id"]
        operations = [(o["method"], o["state"]) for o in store.operations if o["request_id"] == request]
        equal(operations, [(self.method, "failed" if failed else "done")], "operations of this order")
        wanted = [(f"{self.method}/{step}", "Success") for step in self.steps]
        if failed:
            wanted[-1] = (wanted[-1][0], "Error")
        equal([(e["event"], e["result"]) for e in store.events_of(self.uuid, request)], wanted, "events of the action")
        had = self.store_at_death.ports_of(self.uuid)
        if had and self.ends in ("ACTIVE", "SHUTOFF"):
            equal(store.ports_of(self.uuid), had, "ports")

    def leave(self):
        """What is in order serves later cases; what failed as it had to is deleted, and then nothing is left of it."""
        if self.ends in ("ACTIVE", "SHUTOFF") and not self.order.once:
            kind = self.world.standing.get(self.uuid, (POLITE, None))[0]
            self.world.standing[self.uuid] = (kind, self.ends)
            return
        self.world.standing.pop(self.uuid, None)
        if self.ends == "DELETED":
            self.world.large.discard(self.uuid)
            return
        self.agent.start()
        self.world.delete(self.uuid)
        del self.expected[self.uuid]
        self.world.check_at_rest(self.expected)
        equal(self.agent.stop(), 0, "exit status of the agent at SIGTERM")
        self.world.check_store(self.expected)


def in_turn(lists):
    """The first of each, then the second of each ...: what builds leave, deletes take."""
    return [item for row in itertools.zip_longest(*lists) for item in row if item is not None]


def main():
    with tempfile.TemporaryDirectory() as scratch:
        world = World(scratch)
        equal(world.agent.stop(), 0, "exit status of the agent at SIGTERM")
        points = Points(world.fault_points())
        wanted = sys.argv[1] if len(sys.argv) > 1 else ""  # by hand: only cases whose name has this text
        cases = in_turn([Case(world, points, *case) for case in group] for group in points.cases())
        cases = [case for case in cases if wanted in case.name]
        tap.run([(case.name, case.run) for case in cases])


main()
